//! A client, a service and an upstream service, all instrumented, on smol instead of tokio.

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
    telemetry::{Telemetry, attribute, with_timeout},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

type AppResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

const SHOP: &str = "/shop/{id}";
const STOCK: &str = "/stock/{id}";

/// The behavior of the upstream service.
#[derive(Clone, Copy, Debug)]
enum Stock {
    Responds,
    /// Never sends a response.
    NeverResponds,
    /// Sends a response whose body never ends.
    NeverEndsBody,
}

impl Stock {
    async fn handle(self, called: Sender<()>) -> Result<AppResponse, BoxError> {
        called.send(()).await?;
        match self {
            Self::Responds => Ok(Response::new(
                Full::from("seven")
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            )),
            Self::NeverResponds => pending().await,
            Self::NeverEndsBody => {
                let first = Ok(Frame::data(Bytes::from_static(b"sev")));
                let body = stream::once(first).chain(stream::pending());
                Ok(Response::new(StreamBody::new(body).boxed_unsync()))
            }
        }
    }
}

/// The addresses of the shop and the stock, and a channel that receives a message for each call of the stock.
struct Chain {
    telemetry: Telemetry,
    shop: SocketAddr,
    stock: SocketAddr,
    called: Receiver<()>,
}

impl Chain {
    async fn start(executor: Executor, stock: Stock) -> Self {
        let telemetry = Telemetry::new();
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
                load_stock(client.clone(), stock)
            }));
        let shop = serve(executor, shop).await;
        Self {
            telemetry,
            shop,
            stock,
            called,
        }
    }

    /// Waits until all spans have ended: two of servers, two of clients, and one of a function.
    async fn wait_for_ends(&self) {
        self.telemetry
            .wait_until("five spans end", |telemetry| telemetry.spans().len() >= 5)
            .await;
        assert_eq!(self.telemetry.spans().len(), 5);
        assert_eq!(self.in_flight(), [0.0, 0.0, 0.0]);
    }

    /// Returns the number of exchanges in flight: of the servers, of the client of the shop, and of the client of the stock.
    fn in_flight(&self) -> [f64; 3] {
        let sent = |to: SocketAddr| {
            let host = to.to_string();
            self.telemetry
                .sum("http_client_requests_in_flight", &[("host", &host)])
        };
        let served = self.telemetry.sum("http_requests_in_flight", &[]);
        [served, sent(self.shop), sent(self.stock)]
    }

    /// Returns the spans in order, from the first client to the upstream service.
    fn path(&self) -> [SpanData; 5] {
        let Self {
            telemetry,
            shop,
            stock,
            ..
        } = self;
        [
            telemetry.span(SpanKind::Client, shop.port()),
            telemetry.span(SpanKind::Server, shop.port()),
            telemetry.span_with_name("load_stock"),
            telemetry.span(SpanKind::Client, stock.port()),
            telemetry.span(SpanKind::Server, stock.port()),
        ]
    }

    /// Asserts that every exchange is counted once with this status, and that its duration is recorded once.
    fn assert_counted(&self, status: &str) {
        let (shop, stock) = (self.shop.to_string(), self.stock.to_string());
        for (requests, durations, label, value) in [
            (SERVER_METRICS.0, SERVER_METRICS.1, "path", SHOP),
            (SERVER_METRICS.0, SERVER_METRICS.1, "path", STOCK),
            (CLIENT_METRICS.0, CLIENT_METRICS.1, "host", shop.as_str()),
            (CLIENT_METRICS.0, CLIENT_METRICS.1, "host", stock.as_str()),
        ] {
            let labels = [("method", "GET"), (label, value)];
            let with_status = [labels[0], labels[1], ("status", status)];
            for (metric, labels) in [
                (requests, &with_status[..]),
                (requests, &labels[..]),
                (durations, &labels[..]),
            ] {
                assert_eq!(
                    self.telemetry.sum(metric, labels),
                    1.0,
                    "{metric}{labels:?}"
                );
            }
        }
    }
}

const SERVER_METRICS: (&str, &str) = ("http_requests_total", "http_request_duration_seconds_count");
const CLIENT_METRICS: (&str, &str) = (
    "http_client_requests_total",
    "http_client_request_duration_seconds_count",
);

/// Creates an instrumented client.
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

/// Requests the stock, in a separate span.
#[tracing::instrument(skip_all)]
async fn load_stock<C: Service<Request<Empty<Bytes>>>>(
    client: C,
    stock: SocketAddr,
) -> Result<C::Response, C::Error> {
    client.oneshot(get(stock, "/stock/7")).await
}

fn status_code(span: &SpanData) -> Option<i64> {
    match attribute(span, "http.response.status_code") {
        Some(Value::I64(code)) => Some(code),
        _ => None,
    }
}

/// Asserts that the spans belong to one trace, and that each span is the child of the previous one.
fn assert_one_trace(path: &[SpanData; 5]) {
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

/// Asserts that server spans have this `error.type` and that client spans have no error.
fn assert_errors(path: &[SpanData; 5], on_server: &'static str) {
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
fn a_request_through_two_services_is_one_trace_and_counted_by_each() {
    net::run(async |executor| {
        let chain = Chain::start(executor, Stock::Responds).await;
        let response = client(executor).oneshot(get(chain.shop, "/shop/7"));
        let response = with_timeout("the shop responds", response).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = with_timeout("the body ends", response.into_body().collect()).await;
        assert_eq!(body.unwrap().to_bytes(), "seven");
        chain.wait_for_ends().await;

        let path = chain.path();
        assert_one_trace(&path);
        let names = path.each_ref().map(|span| &*span.name);
        assert_eq!(
            names,
            [
                "GET",
                "GET /shop/{id}",
                "load_stock",
                "GET",
                "GET /stock/{id}"
            ]
        );
        for span in &path {
            assert_eq!(
                status_code(span),
                (span.span_kind != SpanKind::Internal).then_some(200)
            );
            assert_eq!(attribute(span, "error.type"), None);
            assert_eq!(span.status, Status::Unset);
        }
        chain.assert_counted("200");
        assert_eq!(
            chain.telemetry.sum("http_responses_aborted_total", &[]),
            0.0
        );
    });
}

#[test]
fn a_disconnect_before_the_response_cancels_the_exchange_of_every_service() {
    net::run(async |executor| {
        let chain = Chain::start(executor, Stock::NeverResponds).await;
        let response = client(executor).oneshot(get(chain.shop, "/shop/7"));
        let responded = async {
            let _ = response.await;
            panic!("the stock sent no response");
        };
        let called = async {
            with_timeout("the stock is called", chain.called.recv())
                .await
                .unwrap();
            assert_eq!(chain.in_flight(), [2.0, 1.0, 1.0]);
        };
        // `or` drops the other future, which closes the connection of the client.
        or(responded, called).await;
        chain.wait_for_ends().await;

        let path = chain.path();
        assert_one_trace(&path);
        assert_errors(&path, "cancelled");
        for span in &path {
            assert_eq!(status_code(span), None);
        }
        chain.assert_counted("cancelled");
        assert_eq!(
            chain.telemetry.sum("http_responses_aborted_total", &[]),
            0.0
        );
    });
}

#[test]
fn a_disconnect_during_the_body_aborts_the_response_of_every_service() {
    net::run(async |executor| {
        let chain = Chain::start(executor, Stock::NeverEndsBody).await;
        let response = client(executor).oneshot(get(chain.shop, "/shop/7"));
        let mut response = with_timeout("the shop responds", response).await.unwrap();
        let frame = with_timeout("a frame arrives", response.frame()).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "sev");
        assert_eq!(chain.in_flight(), [2.0, 1.0, 1.0]);
        drop(response);
        chain.wait_for_ends().await;

        let path = chain.path();
        assert_one_trace(&path);
        assert_errors(&path, "aborted");
        for span in &path {
            assert_eq!(
                status_code(span),
                (span.span_kind != SpanKind::Internal).then_some(200)
            );
        }
        chain.assert_counted("200");
        for path in [SHOP, STOCK] {
            let aborted = chain
                .telemetry
                .sum("http_responses_aborted_total", &[("path", path)]);
            assert_eq!(aborted, 1.0, "of {path}");
        }
    });
}
