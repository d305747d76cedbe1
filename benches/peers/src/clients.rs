//! Instrumented clients without a network.

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
    signals::{DiscardingSignals, Signals},
};
use tower_otel_core::observe;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing::Level;

use crate::{otel_032, servers::propagate};

/// Instruments a client with the arm of this name. Returns `None` if the arm is a server.
pub fn instrument(name: &str, signals: &DiscardingSignals) -> Option<Box<dyn Subject>> {
    let trace = TraceLayer::client;
    let inject = PropagateLayer::new;
    let chain = ClientBuilder::new(reqwest::Client::new());
    let chain = match name {
        "call" => return Some(client_arms::instrument(name, signals)),
        name if name.starts_with("client ") => return Some(client_arms::instrument(name, signals)),
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
            let flush = otel_032::subscriber();
            let client = chain.with(TracingMiddleware::default());
            let respond = Respond { injected: true };
            return Some(client_subject(client.with(respond).build(), flush));
        }
        _ => return None,
    };
    let injected = name != "chain";
    let client = chain.with(Respond { injected }).build();
    Some(client_subject(client, signals.flush()))
}

fn tower_otel(signals: &DiscardingSignals) -> Box<dyn Subject> {
    propagate();
    signals.subscriber();
    let respond = service_fn(|request: Request<Body>| {
        drop(request);
        ready(Ok::<_, Infallible>(Response::new(Body::from("hello"))))
    });
    let layer = tower_otel::trace::HttpLayer::client(Level::INFO);
    let check = service_fn(|request: Request<Body>| {
        let injected = request.headers().contains_key("traceparent");
        assert!(injected, "the context is injected");
        ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    exchange(layer.layer(check), app::outgoing());
    let service = layer.layer(respond);
    Exchanges::subject(
        |_| app::outgoing(),
        move |request| exchange(service.clone(), request),
        signals.flush(),
    )
}

/// The last middleware, which responds without a network and checks for an injected context.
struct Respond {
    injected: bool,
}

#[async_trait::async_trait]
impl Middleware for Respond {
    async fn handle(
        &self,
        request: reqwest::Request,
        _extensions: &mut Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let injected = request.headers().contains_key("traceparent");
        assert_eq!(injected, self.injected, "the context is injected");
        drop(request);
        Ok(Response::new("hello").into())
    }
}

fn client_subject(
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
            panic!("the exchange is pending or failed");
        };
    };
    Exchanges::subject(request, send, flush)
}
