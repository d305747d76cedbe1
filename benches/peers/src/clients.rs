//! Clients that answer by themselves.

use std::{
    convert::Infallible,
    future::ready,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use http::{Extensions, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_tracing::TracingMiddleware;
use tower::{Layer, service_fn};
use tower_otel_benches::{
    app, client_arms,
    exchange::{Exchanges, Subject, exchange},
    signals::{Discarded, Signals},
};
use tower_otel_core::observe;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing::Level;

use crate::{older, servers::propagate};

/// Watches a client in the way that is named, if it is one.
pub fn watch(name: &str, signals: &Discarded) -> Option<Box<dyn Subject>> {
    let trace = TraceLayer::client;
    let inject = PropagateLayer::new;
    let chain = ClientBuilder::new(reqwest::Client::new());
    let chain = match name {
        "call" => return Some(client_arms::watch(name, signals)),
        name if name.starts_with("client ") => return Some(client_arms::watch(name, signals)),
        "tower-otel, client" => return Some(tower_otel(signals)),
        "chain" => chain,
        "chain, record + inject" => {
            let spans = trace().recorder(signals.recorder());
            chain.with(observe((spans, inject())).into_middleware())
        }
        "chain, direct + inject" => {
            let spans = trace().tracer_provider(&signals.traces());
            chain.with(observe((spans, inject())).into_middleware())
        }
        "chain, tracing + inject" => {
            signals.subscriber();
            chain.with(observe((trace(), inject())).into_middleware())
        }
        "reqwest-tracing" => {
            let flush = older::subscriber();
            let client = chain.with(TracingMiddleware::default());
            let answers = Answers { injected: true };
            return Some(sending(client.with(answers).build(), flush));
        }
        _ => return None,
    };
    let injected = name != "chain";
    let client = chain.with(Answers { injected }).build();
    Some(sending(client, signals.flush()))
}

fn tower_otel(signals: &Discarded) -> Box<dyn Subject> {
    propagate();
    signals.subscriber();
    let answers = service_fn(|request: Request<Body>| {
        drop(request);
        ready(Ok::<_, Infallible>(Response::new(Body::from("hello"))))
    });
    let layer = tower_otel::trace::HttpLayer::client(Level::INFO);
    let looks = service_fn(|request: Request<Body>| {
        let injected = request.headers().contains_key("traceparent");
        assert!(injected, "the trace goes on at the server");
        ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    exchange(layer.layer(looks), app::outgoing());
    let service = layer.layer(answers);
    Exchanges::subject(
        |_| app::outgoing(),
        move |request| exchange(service.clone(), request),
        signals.flush(),
    )
}

/// The end of a chain, in place of a network. It looks whether the trace came that far.
struct Answers {
    injected: bool,
}

#[async_trait::async_trait]
impl Middleware for Answers {
    async fn handle(
        &self,
        request: reqwest::Request,
        _extensions: &mut Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let injected = request.headers().contains_key("traceparent");
        assert_eq!(injected, self.injected, "the trace goes on at the server");
        drop(request);
        Ok(Response::new("hello").into())
    }
}

fn sending(
    client: ClientWithMiddleware,
    flush: impl Fn() + Send + Sync + 'static,
) -> Box<dyn Subject> {
    let request = |_| -> reqwest::Request {
        let (head, _) = app::outgoing().into_parts();
        Request::from_parts(head, "").try_into().unwrap()
    };
    let send = move |request| {
        let cx = &mut Context::from_waker(Waker::noop());
        let exchange = pin!(async { client.execute(request).await.unwrap().bytes().await });
        let Poll::Ready(Ok(_)) = exchange.poll(cx) else {
            panic!("it waits for nothing, and does not fail");
        };
    };
    Exchanges::subject(request, send, flush)
}
