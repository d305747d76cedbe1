//! `tower::retry` around and inside of the layers of a tonic client. Around the layers, every attempt is recorded as a call.
//! Inside of the layers, all attempts are recorded as one call.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    grpc_calls::{Client, assert_grpc_attributes, listen, path, unary},
    grpc_service::CartService,
    keys::assert_valid_span,
    net::BoxError,
    telemetry::{TestTelemetry, text, with_timeout},
};
use tonic::{
    Status,
    body::Body,
    client::Grpc,
    server::NamedService,
    transport::{Endpoint, Server},
};
use tower::{
    Layer, Service, ServiceExt,
    retry::{Policy, RetryLayer},
    service_fn,
    util::BoxCloneService,
};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// A request that can be sent again, because its body is in memory.
type Call = Request<Full<Bytes>>;
type Stack = BoxCloneService<Call, Response<Body>, BoxError>;

/// The place of the retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retries {
    Outside,
    Inside,
}

/// Retries a failure or `UNAVAILABLE` this number of times.
#[derive(Clone)]
struct Retry(usize);

impl Policy<Call, Response<Body>, BoxError> for Retry {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Call,
        result: &mut Result<Response<Body>, BoxError>,
    ) -> Option<Ready<()>> {
        let status = result.as_ref().map(Response::headers);
        let fails = status.map_or(true, |head| {
            head.get("grpc-status").is_some_and(|code| code == "14")
        });
        if !fails || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}

/// A service that responds with `UNAVAILABLE` to the first calls.
#[derive(Clone)]
struct Unavailable {
    service: CartService,
    times: usize,
    calls: Arc<AtomicUsize>,
}

impl NamedService for Unavailable {
    const NAME: &'static str = CartService::NAME;
}

impl Service<Request<Body>> for Unavailable {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.calls.fetch_add(1, Relaxed) < self.times {
            return Box::pin(ready(Ok(Status::unavailable("").into_http())));
        }
        self.service.call(request)
    }
}

/// A client with retries, and a server that it can call.
struct Pair {
    telemetry: TestTelemetry,
    backend: Backend,
    service: CartService,
    client: Client,
    to: SocketAddr,
}

impl Pair {
    /// Starts a server that responds with `UNAVAILABLE` to the first `unavailable` calls. With `None`, connections are refused.
    async fn start(backend: Backend, retries: Retries, unavailable: Option<usize>) -> Self {
        let telemetry = TestTelemetry::new();
        let service = CartService::default();
        let (to, incoming) = listen().await;
        if let Some(times) = unavailable {
            let trace = backend.layer(telemetry.source(), TraceLayer::server().grpc());
            let service = Unavailable {
                service: service.clone(),
                times,
                calls: Arc::default(),
            };
            let server = Server::builder()
                .layer(observe((trace, MetricsLayer::server().grpc())))
                .add_service(service);
            tokio::spawn(server.serve_with_incoming(incoming));
        }
        let client = connect(&telemetry, backend, retries, to);
        Self {
            telemetry,
            backend,
            service,
            client,
            to,
        }
    }

    /// Waits for the spans of servers and clients, and returns them in the order of their starts. Checks that the
    /// counters have the same calls, and that no call is in flight.
    async fn ended(&self, servers: &[&str], clients: &[&str]) -> [Vec<SpanData>; 2] {
        let count = servers.len() + clients.len();
        self.telemetry
            .wait_until("the calls end", |telemetry| {
                telemetry.spans().len() >= count
            })
            .await;
        let mut spans = self.telemetry.spans();
        spans.sort_by_key(|span| span.start_time);
        let metrics = self.telemetry.metrics();
        [
            (SpanKind::Server, "grpc", servers),
            (SpanKind::Client, "grpc_client", clients),
        ]
        .map(|(kind, prefix, statuses)| {
            let of_kind = spans.iter().filter(|span| span.span_kind == kind);
            let spans: Vec<_> = of_kind.cloned().collect();
            let found = spans.iter().map(|span| text(span, "rpc.status_code"));
            let found: Vec<_> = found.map(Option::unwrap).collect();
            assert_eq!(found, statuses, "{kind:?}");
            for span in &spans {
                assert_valid_span(span, self.backend);
                assert_grpc_attributes(span);
            }
            let sum = |name: &str, labels: &[_]| {
                let name = format!("{prefix}_{name}");
                self.telemetry.sum(&name, labels)
            };
            let total = statuses.len() as f64;
            assert_eq!(sum("requests_total", &[]), total, "{metrics}");
            assert_eq!(sum("request_duration_seconds_count", &[]), total);
            assert_eq!(sum("requests_in_flight", &[]), 0.0, "{metrics}");
            for status in statuses {
                let with_status = statuses.iter().filter(|other| *other == status).count();
                let counted = sum("requests_total", &[("status", status)]);
                assert_eq!(counted, with_status as f64, "{status}: {metrics}");
            }
            spans
        })
    }
}

fn connect(
    telemetry: &TestTelemetry,
    backend: Backend,
    retries: Retries,
    to: SocketAddr,
) -> Client {
    let uri = format!("http://{to}");
    let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
    let channel = channel.map_err(BoxError::from);
    let channel = channel.map_request(|call: Call| call.map(Body::new));
    let trace = backend.layer(telemetry.source(), TraceLayer::client().grpc());
    let metrics = MetricsLayer::client().grpc();
    let layers = observe((trace, metrics, PropagateLayer::new()));
    let observed = |service: Stack| -> Stack {
        let service = layers.layer(service);
        BoxCloneService::new(service.map_response(|response| response.map(Body::new)))
    };
    let retried = |service: Stack| Stack::new(RetryLayer::new(Retry(2)).layer(service));
    let channel = Stack::new(channel);
    let stack = match retries {
        Retries::Outside => retried(observed(channel)),
        Retries::Inside => observed(retried(channel)),
    };
    let service = service_fn(move |call: Request<Body>| {
        let stack = stack.clone();
        async move {
            let (head, body) = call.into_parts();
            let body = Full::new(body.collect().await?.to_bytes());
            stack.oneshot(Request::from_parts(head, body)).await
        }
    });
    Grpc::with_origin(service.boxed(), uri.parse().unwrap())
}

#[tokio::test]
async fn every_attempt_inside_of_retries_is_a_call_with_its_own_span_and_traceparent() {
    for backend in Backend::ALL {
        let mut pair = Pair::start(backend, Retries::Outside, Some(2)).await;
        let response = unary(&mut pair.client, path("Unary"), "ok").await;
        assert_eq!(response.unwrap(), "ok");
        let statuses = ["UNAVAILABLE", "UNAVAILABLE", "OK"];
        let [servers, clients] = pair.ended(&statuses, &statuses).await;
        for (server, client) in servers.iter().zip(&clients) {
            assert_eq!(server.parent_span_id, client.span_context.span_id());
        }
        let errors: Vec<_> = clients
            .iter()
            .map(|span| text(span, "error.type"))
            .collect();
        let unavailable = Some("UNAVAILABLE".to_owned());
        assert_eq!(errors, [unavailable.clone(), unavailable, None]);
    }
}

#[tokio::test]
async fn layers_around_retries_record_one_call_with_the_last_status() {
    for backend in Backend::ALL {
        for (unavailable, servers, client) in [
            (2, ["UNAVAILABLE", "UNAVAILABLE", "OK"], "OK"),
            (3, ["UNAVAILABLE"; 3], "UNAVAILABLE"),
        ] {
            let mut pair = Pair::start(backend, Retries::Inside, Some(unavailable)).await;
            let response = unary(&mut pair.client, path("Unary"), "ok").await;
            assert_eq!(response.is_ok(), client == "OK");
            let [servers, clients] = pair.ended(&servers, &[client]).await;
            let call = clients[0].span_context.span_id();
            assert!(servers.iter().all(|span| span.parent_span_id == call));
        }
    }
}

#[tokio::test]
async fn a_caller_that_leaves_in_a_retry_cancels_that_attempt() {
    for backend in Backend::ALL {
        for (retries, clients) in [
            (Retries::Outside, &["UNAVAILABLE", "CANCELLED"][..]),
            (Retries::Inside, &["CANCELLED"]),
        ] {
            let mut pair = Pair::start(backend, retries, Some(1)).await;
            tokio::select! {
                _ = unary(&mut pair.client, path("Unary"), "stall") => panic!("a response"),
                () = with_timeout("the second attempt", pair.service.called.notified()) => {}
            }
            pair.ended(&["UNAVAILABLE", "CANCELLED"], clients).await;
        }
    }
}

#[tokio::test]
async fn attempts_that_are_refused_are_unavailable() {
    for backend in Backend::ALL {
        for (retries, clients) in [
            (Retries::Outside, &["UNAVAILABLE"; 3][..]),
            (Retries::Inside, &["UNAVAILABLE"]),
        ] {
            let mut pair = Pair::start(backend, retries, None).await;
            let failed = unary(&mut pair.client, path("Unary"), "ok").await;
            failed.unwrap_err();
            let [_, clients] = pair.ended(&[], clients).await;
            for span in &clients {
                let error = text(span, "error.type");
                assert_eq!(error.as_deref(), Some("connection_refused"), "{}", pair.to);
            }
        }
    }
}
