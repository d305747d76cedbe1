//! A client, a service and a service behind it, all instrumented, on a runtime that is not tokio.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use opentelemetry::{
    Value,
    trace::{SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;
use smol::{
    channel::{Receiver, Sender, bounded},
    future::{or, pending},
    stream::{self, StreamExt},
};
use smol_tests::{
    net::{self, BoxError, Executor, get, serve},
    scene::{Scene, attribute, within},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

const SHOP: &str = "/shop/{id}";
const STOCK: &str = "/stock/{id}";

/// What the service at the end of the chain does.
#[derive(Clone, Copy, Debug)]
enum Stock {
    Answers,
    /// It never answers.
    Waits,
    /// It answers, and the end of its body never comes.
    Begins,
}

impl Stock {
    async fn handle(self, called: Sender<()>) -> Result<Answer, BoxError> {
        called.send(()).await?;
        match self {
            Self::Answers => Ok(Response::new(
                Full::from("seven")
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            )),
            Self::Waits => pending().await,
            Self::Begins => {
                let first = Ok(Frame::data(Bytes::from_static(b"sev")));
                let body = stream::once(first).chain(stream::pending());
                Ok(Response::new(StreamBody::new(body).boxed_unsync()))
            }
        }
    }
}

/// The addresses of shop and stock; and what says that the stock was called.
struct Chain {
    scene: Scene,
    shop: SocketAddr,
    stock: SocketAddr,
    called: Receiver<()>,
}

impl Chain {
    async fn start(executor: Executor, stock: Stock) -> Self {
        let scene = Scene::new();
        let (calling, called) = bounded(1);
        let stock = ServiceBuilder::new()
            .layer(TraceLayer::server().route(|_| Some(STOCK.into())))
            .layer(MetricsLayer::server().route(|_| Some(STOCK.into())))
            .service(service_fn(move |_: Request<Incoming>| {
                stock.handle(calling.clone())
            }));
        let stock = serve(executor, stock).await;
        let client = client(executor);
        let shop = ServiceBuilder::new()
            .layer(TraceLayer::server().route(|_| Some(SHOP.into())))
            .layer(MetricsLayer::server().route(|_| Some(SHOP.into())))
            .service(service_fn(move |_: Request<Incoming>| {
                client.clone().oneshot(get(stock, "/stock/7"))
            }));
        let shop = serve(executor, shop).await;
        Self {
            scene,
            shop,
            stock,
            called,
        }
    }

    /// Waits for the four exchanges to end: two served, two sent.
    async fn settled(&self) {
        self.scene
            .until("four exchanges end", |scene| scene.spans().len() >= 4)
            .await;
        assert_eq!(self.scene.spans().len(), 4);
        assert_eq!(self.in_flight(), [0.0, 0.0, 0.0]);
    }

    /// How many exchanges are in flight: served, sent to the shop, sent to the stock.
    fn in_flight(&self) -> [f64; 3] {
        let sent = |to: SocketAddr| {
            let host = to.to_string();
            self.scene
                .sum("http_client_requests_in_flight", &[("host", &host)])
        };
        let served = self.scene.sum("http_requests_in_flight", &[]);
        [served, sent(self.shop), sent(self.stock)]
    }

    /// The spans from the client's to that of the service at the end.
    fn path(&self) -> [SpanData; 4] {
        let Self {
            scene, shop, stock, ..
        } = self;
        [
            scene.span(SpanKind::Client, shop.port()),
            scene.span(SpanKind::Server, shop.port()),
            scene.span(SpanKind::Client, stock.port()),
            scene.span(SpanKind::Server, stock.port()),
        ]
    }

    /// Every exchange is counted once, with this status, and timed once.
    fn assert_counted(&self, status: &str) {
        let (shop, stock) = (self.shop.to_string(), self.stock.to_string());
        for (requests, durations, label, value) in [
            (SERVED.0, SERVED.1, "path", SHOP),
            (SERVED.0, SERVED.1, "path", STOCK),
            (SENT.0, SENT.1, "host", shop.as_str()),
            (SENT.0, SENT.1, "host", stock.as_str()),
        ] {
            let of = [("method", "GET"), (label, value)];
            let ended = [of[0], of[1], ("status", status)];
            for (metric, labels) in [
                (requests, &ended[..]),
                (requests, &of[..]),
                (durations, &of[..]),
            ] {
                assert_eq!(self.scene.sum(metric, labels), 1.0, "{metric}{labels:?}");
            }
        }
    }
}

const SERVED: (&str, &str) = ("http_requests_total", "http_request_duration_seconds_count");
const SENT: (&str, &str) = (
    "http_client_requests_total",
    "http_client_request_duration_seconds_count",
);

/// An instrumented client.
fn client(
    executor: Executor,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = hyper::Error>>,
    Error = BoxError,
> + Clone {
    ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(service_fn(move |request| net::send(executor, request)))
}

/// Every span is the child of the one before, and all are of one trace.
fn assert_one_trace(path: &[SpanData; 4]) {
    let mut parent = SpanId::INVALID;
    for span in path {
        let context = &span.span_context;
        assert_eq!(context.trace_id(), path[0].span_context.trace_id());
        assert_eq!(span.parent_span_id, parent, "the parent of {span:#?}");
        assert_eq!(
            span.parent_span_is_remote,
            span.span_kind == SpanKind::Server
        );
        parent = context.span_id();
    }
}

/// Servers say this of the error, and clients nothing: they wanted it so.
fn assert_errors(path: &[SpanData; 4], on_server: &'static str) {
    for span in path {
        let (error, status) = match span.span_kind {
            SpanKind::Server => (Some(Value::from(on_server)), Status::error("")),
            _ => (None, Status::Unset),
        };
        assert_eq!(attribute(span, "error.type"), error, "of {span:#?}");
        assert_eq!(span.status, status, "of {span:#?}");
    }
}

#[test]
fn a_request_through_two_services_is_one_trace_and_counted_at_each_step() {
    net::run(async |executor| {
        let chain = Chain::start(executor, Stock::Answers).await;
        let asked = client(executor).oneshot(get(chain.shop, "/shop/7"));
        let response = within("the shop answers", asked).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = within("the body ends", response.into_body().collect()).await;
        assert_eq!(body.unwrap().to_bytes(), "seven");
        chain.settled().await;

        let path = chain.path();
        assert_one_trace(&path);
        let names = path.each_ref().map(|span| &*span.name);
        assert_eq!(names, ["GET", "GET /shop/{id}", "GET", "GET /stock/{id}"]);
        for span in &path {
            assert_eq!(
                attribute(span, "http.response.status_code"),
                Some(Value::I64(200))
            );
            assert_eq!(attribute(span, "error.type"), None);
            assert_eq!(span.status, Status::Unset);
        }
        chain.assert_counted("200");
        assert_eq!(chain.scene.sum("http_responses_aborted_total", &[]), 0.0);
    });
}

#[test]
fn a_client_that_hangs_up_before_the_head_cancels_the_exchange_at_each_step() {
    net::run(async |executor| {
        let chain = Chain::start(executor, Stock::Waits).await;
        let asked = client(executor).oneshot(get(chain.shop, "/shop/7"));
        let answered = async {
            let _ = asked.await;
            panic!("nobody answers");
        };
        let called = async {
            within("the stock is called", chain.called.recv())
                .await
                .unwrap();
            assert_eq!(chain.in_flight(), [2.0, 1.0, 1.0]);
        };
        // When one has happened the other is dropped.
        or(answered, called).await;
        chain.settled().await;

        let path = chain.path();
        assert_one_trace(&path);
        assert_errors(&path, "cancelled");
        for span in &path {
            assert_eq!(attribute(span, "http.response.status_code"), None);
        }
        chain.assert_counted("cancelled");
        assert_eq!(chain.scene.sum("http_responses_aborted_total", &[]), 0.0);
    });
}

#[test]
fn a_client_that_hangs_up_during_the_body_aborts_the_response_at_each_step() {
    net::run(async |executor| {
        let chain = Chain::start(executor, Stock::Begins).await;
        let asked = client(executor).oneshot(get(chain.shop, "/shop/7"));
        let mut response = within("the shop answers", asked).await.unwrap();
        let frame = within("a frame comes", response.frame()).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "sev");
        assert_eq!(chain.in_flight(), [2.0, 1.0, 1.0]);
        drop(response);
        chain.settled().await;

        let path = chain.path();
        assert_one_trace(&path);
        assert_errors(&path, "aborted");
        for span in &path {
            assert_eq!(
                attribute(span, "http.response.status_code"),
                Some(Value::I64(200))
            );
        }
        chain.assert_counted("200");
        for path in [SHOP, STOCK] {
            let aborted = chain
                .scene
                .sum("http_responses_aborted_total", &[("path", path)]);
            assert_eq!(aborted, 1.0, "of {path}");
        }
    });
}
