//! Middleware of tower around and inside of the layers of tonic servers and clients: spans and metrics have the same calls
//! with the same statuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{collections::BTreeMap, pin::pin, time::Duration};

use http::{Request, Response};
use opentelemetry::trace::SpanKind;
use suite_tests::{
    backend::Backend,
    grpc_calls::{Client, listen, path, unary},
    grpc_service::CartService,
    net::BoxError,
    telemetry::{TestTelemetry, text, with_convention_names, with_timeout},
};
use tonic::{
    body::Body,
    client::Grpc,
    transport::{Endpoint, Server},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, layer::layer_fn,
    timeout::TimeoutLayer, util::BoxCloneService,
};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

type Stack = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

/// The timeout of the middleware. Only the call `late` exceeds it.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The call, then the status and `error.type` four times: of server layers around the middleware, of server layers inside of it,
/// of client layers around it, and of client layers inside of it. `absent` means that the call does not reach the layers.
const CALLS: &str = "
    ok      OK                  -                   OK        -       OK                  -                   OK         -
    fails   INTERNAL            INTERNAL            INTERNAL  INTERNAL  INTERNAL          INTERNAL            INTERNAL   INTERNAL
    leaves  CANCELLED           -                   CANCELLED -       CANCELLED           CANCELLED           CANCELLED  CANCELLED
    panics  UNKNOWN             panic               UNKNOWN   panic   CANCELLED           CANCELLED           CANCELLED  CANCELLED
    shed    RESOURCE_EXHAUSTED  RESOURCE_EXHAUSTED  absent    -       RESOURCE_EXHAUSTED  RESOURCE_EXHAUSTED  absent     -
    late    UNKNOWN             timeout             CANCELLED -       DEADLINE_EXCEEDED   DEADLINE_EXCEEDED   CANCELLED  CANCELLED
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Middleware {
    Buffer,
    LoadShed,
    ConcurrencyLimit,
    Timeout,
}

use Middleware::{Buffer as InBuffer, ConcurrencyLimit, LoadShed, Timeout};

impl Middleware {
    fn layer(self, service: Stack) -> Stack {
        let builder = ServiceBuilder::new();
        match self {
            InBuffer => boxed(Buffer::new(service, 2)),
            LoadShed => boxed(builder.load_shed().concurrency_limit(1).service(service)),
            ConcurrencyLimit => boxed(builder.concurrency_limit(1).service(service)),
            Timeout => boxed(TimeoutLayer::new(TIMEOUT).layer(service)),
        }
    }

    fn calls(self) -> &'static [&'static str] {
        match self {
            InBuffer | ConcurrencyLimit => &["ok", "fails", "leaves", "panics", "ok"],
            LoadShed => &["ok", "fails", "leaves", "panics", "shed", "ok"],
            Timeout => &["ok", "fails", "leaves", "panics", "late", "ok"],
        }
    }
}

fn boxed<S>(service: S) -> Stack
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    BoxCloneService::new(service.map_err(Into::into))
}

/// A server or a client, whose layers are around the middleware or inside of it.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: Kind,
    layers_outside: bool,
    middleware: Middleware,
    backend: Backend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Server,
    Client,
}

impl Case {
    fn stack(self, telemetry: &TestTelemetry, service: Stack) -> Stack {
        let (trace, metrics) = match self.kind {
            Kind::Server => (TraceLayer::server(), MetricsLayer::server()),
            Kind::Client => (TraceLayer::client(), MetricsLayer::client()),
        };
        let metrics = metrics.grpc();
        let layers = observe((
            self.backend.layer(telemetry.source(), trace.grpc()),
            (metrics.clone(), with_convention_names(metrics)),
            PropagateLayer::new(),
        ));
        let observed = |service: Stack| {
            let service = layers.layer(service);
            boxed(service.map_response(|response: Response<_>| response.map(Body::new)))
        };
        match self.layers_outside {
            true => observed(self.middleware.layer(service)),
            false => self.middleware.layer(observed(service)),
        }
    }

    /// Returns the expected status and `error.type` of a call. `None` if it does not reach the layers.
    fn expected(self, call: &str) -> Option<String> {
        let line = CALLS.lines().find(|line| line.trim().starts_with(call));
        let words: Vec<_> = line.unwrap().split_whitespace().collect();
        let at = match (self.kind, self.layers_outside) {
            (Kind::Server, true) => 1,
            (Kind::Server, false) => 3,
            (Kind::Client, true) => 5,
            (Kind::Client, false) => 7,
        };
        (words[at] != "absent").then(|| format!("{} {}", words[at], words[at + 1]))
    }

    async fn run(self) {
        let telemetry = TestTelemetry::new();
        let service = CartService::default();
        let (to, incoming) = listen().await;
        let uri = format!("http://{to}");
        let channel = boxed(Endpoint::new(uri.clone()).unwrap().connect_lazy());
        let mut client = match self.kind {
            Kind::Server => {
                let stack = self.stack(&telemetry, boxed(service.clone()));
                let layer = layer_fn(move |_: tonic::service::Routes| stack.clone());
                let server = Server::builder().layer(layer).add_service(service.clone());
                tokio::spawn(server.serve_with_incoming(incoming));
                channel
            }
            Kind::Client => {
                let server = Server::builder().add_service(service.clone());
                tokio::spawn(server.serve_with_incoming(incoming));
                self.stack(&telemetry, channel)
            }
        };
        let mut client = || Grpc::with_origin(client_of(&mut client), uri.parse().unwrap());
        let mut expected = Vec::new();
        for call in self.middleware.calls() {
            make_call(call, &service, &mut client).await;
            expected.extend(self.expected(call));
            if *call == "shed" {
                // The call that uses the only permit is dropped.
                expected.extend(self.expected("leaves"));
            }
            self.assert_recorded(&telemetry, &expected).await;
        }
    }

    /// Checks that spans, and the metrics of both naming schemes, have these calls and no others, in any order.
    async fn assert_recorded(self, telemetry: &TestTelemetry, expected: &[String]) {
        let prefix = match self.kind {
            Kind::Server => "grpc",
            Kind::Client => "grpc_client",
        };
        let in_flight = format!("{prefix}_requests_in_flight");
        telemetry
            .wait_until(&format!("{self:?}: {expected:?}"), |telemetry| {
                telemetry.spans().len() >= expected.len() && telemetry.sum(&in_flight, &[]) == 0.0
            })
            .await;
        let mut of_spans: Vec<_> = telemetry
            .spans()
            .iter()
            .map(|span| {
                let kind = match self.kind {
                    Kind::Server => SpanKind::Server,
                    Kind::Client => SpanKind::Client,
                };
                assert_eq!(span.span_kind, kind);
                let error = text(span, "error.type");
                let status = text(span, "rpc.status_code").unwrap();
                format!("{status} {}", error.as_deref().unwrap_or("-"))
            })
            .collect();
        of_spans.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(of_spans, expected, "{self:?}");

        let mut by_status: BTreeMap<&str, f64> = BTreeMap::new();
        let mut by_error: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for call in &expected {
            let (status, error) = call.split_once(' ').unwrap();
            *by_status.entry(status).or_default() += 1.0;
            *by_error.entry((status, error)).or_default() += 1.0;
        }
        let metrics = telemetry.metrics();
        let total = expected.len() as f64;
        let counter = format!("{prefix}_requests_total");
        assert_eq!(telemetry.sum(&counter, &[]), total, "{self:?}: {metrics}");
        for (status, count) in by_status {
            let counted = telemetry.sum(&counter, &[("status", status)]);
            assert_eq!(counted, count, "{self:?} {status}: {metrics}");
        }
        let kind = match self.kind {
            Kind::Server => "server",
            Kind::Client => "client",
        };
        let histogram = format!("conventions_rpc_{kind}_call_duration_seconds_count");
        assert_eq!(telemetry.sum(&histogram, &[]), total, "{metrics}");
        for ((status, error), count) in by_error {
            let mut labels = vec![("rpc_status_code", status)];
            labels.extend((error != "-").then_some(("error_type", error)));
            let counted = telemetry.sum(&histogram, &labels);
            assert_eq!(counted, count, "{self:?} {status} {error}: {metrics}");
        }
        assert!(!metrics.contains("http_"), "{metrics}");
    }
}

fn client_of(
    stack: &mut Stack,
) -> tower::util::BoxService<Request<Body>, Response<Body>, BoxError> {
    stack.clone().boxed()
}

async fn make_call(call: &str, service: &CartService, client: &mut impl FnMut() -> Client) {
    match call {
        "ok" => {
            let response = unary(&mut client(), path("Unary"), "ok").await;
            assert_eq!(response.unwrap(), "ok");
        }
        "fails" => drop(unary(&mut client(), path("Unary"), "13").await.unwrap_err()),
        "panics" => drop(
            unary(&mut client(), path("Unary"), "panic")
                .await
                .unwrap_err(),
        ),
        "late" => {
            let mut client = client();
            let late = unary(&mut client, path("Unary"), "stall");
            drop(with_timeout("the timeout", late).await.unwrap_err());
        }
        _ => {
            // Consumes the notification of an earlier call.
            pin!(service.called.notified()).enable();
            let mut stalled_client = client();
            let mut stalled = pin!(unary(&mut stalled_client, path("Unary"), "stall"));
            let called = service.called.notified();
            tokio::select! {
                _ = &mut stalled => panic!("a response"),
                () = with_timeout("the call arrives", called) => {}
            }
            if call == "shed" {
                let mut other = client();
                let shed = unary(&mut other, path("Unary"), "ok");
                let status = tokio::select! {
                    _ = &mut stalled => panic!("a response"),
                    shed = with_timeout("the call is shed", shed) => shed.unwrap_err(),
                };
                assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
            }
        }
    }
}

async fn for_each_case(kind: Kind) {
    for backend in Backend::ALL {
        for layers_outside in [true, false] {
            for middleware in [InBuffer, LoadShed, ConcurrencyLimit, Timeout] {
                let case = Case {
                    kind,
                    layers_outside,
                    middleware,
                    backend,
                };
                case.run().await;
            }
        }
    }
}

#[tokio::test]
async fn calls_of_a_server_with_middleware_end_once_with_one_status() {
    for_each_case(Kind::Server).await;
}

#[tokio::test]
async fn calls_of_a_client_with_middleware_end_once_with_one_status() {
    for_each_case(Kind::Client).await;
}
