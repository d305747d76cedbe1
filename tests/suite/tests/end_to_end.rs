//! A caller and two services: one trace exported over OTLP, and metrics of the same requests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    fmt::Debug,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    routing::get,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use suite_tests::{
    backend::{AnyTraceLayer, Backend, Source},
    net::{BoxError, ScriptedBody, Step, serve},
    otlp::{Receiver, attribute},
    telemetry::{LocalTelemetry, Metrics, TestTelemetry, with_timeout},
};
use tokio::sync::oneshot;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::{Filter, Observed, RouteLayer, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{Propagate, PropagateLayer};
use tower_otel_trace::{Recorder, TraceLayer};

type Client = Observed<Observed<Propagate<reqwest::Client>, MetricsLayer>, AnyTraceLayer>;

/// The headers of the requests that a service received.
type ReceivedHeaders = Arc<Mutex<Vec<HeaderMap>>>;

/// The delay of the response body of the backend service.
const SLOW: Duration = Duration::from_millis(100);

/// The allowed difference, in seconds, between a span and a metric duration of one exchange. They use
/// different clocks (wall and monotonic), read microseconds apart, or some milliseconds apart on a busy
/// machine. Half of [`SLOW`] is more than that, and less than the error if one of the two ended at the
/// response head.
const TOLERANCE: f64 = 0.05;

/// The span backend of a process and its exporters.
#[derive(Clone)]
struct ProcessBackend(Backend, Source);

impl ProcessBackend {
    fn layer(&self, layer: TraceLayer) -> AnyTraceLayer {
        self.0.layer(&self.1, layer)
    }
}

fn client(process_backend: &ProcessBackend) -> Client {
    ServiceBuilder::new()
        .layer(process_backend.layer(TraceLayer::client()))
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(bare_client())
}

fn bare_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn request(to: SocketAddr, path: &str) -> reqwest::Request {
    let url = format!("http://{to}{path}");
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

fn observed(process_backend: &ProcessBackend, app: Router) -> Router {
    app.layer(
        ServiceBuilder::new()
            .layer(process_backend.layer(TraceLayer::server()))
            .layer(MetricsLayer::server()),
    )
}

/// The frontend service. It calls the backend service and streams its response.
#[derive(Clone)]
struct Front {
    behind: SocketAddr,
    client: Client,
}

async fn front(State(front): State<Front>, Path(id): Path<String>) -> (StatusCode, Body) {
    let request = request(front.behind, &format!("/b/{id}"));
    let response = front.client.oneshot(request).await.unwrap();
    let status = response.status();
    (status, Body::from_stream(response.bytes_stream()))
}

/// A frontend whose route is known to the layer from the start.
fn front_app(process_backend: &ProcessBackend, behind: SocketAddr) -> Router {
    let client = client(process_backend);
    let app = Router::new()
        .route("/a/{id}", get(front))
        .with_state(Front { behind, client });
    observed(process_backend, app)
}

/// A backend whose route is known only in its nested router.
fn behind_app(process_backend: &ProcessBackend, received_headers: ReceivedHeaders) -> Router {
    let things = Router::new()
        .route("/{id}", get(behind))
        .layer(RouteLayer::new())
        .with_state(received_headers);
    observed(process_backend, Router::new().nest_service("/b", things))
}

async fn behind(
    State(received_headers): State<ReceivedHeaders>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, Body) {
    received_headers.lock().unwrap().push(headers);
    let status = match id.as_str() {
        "broken" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let (finish, finished) = oneshot::channel();
    tokio::spawn(async move {
        // The body ends this long after the head. The test measures the delay.
        tokio::time::sleep(SLOW).await;
        let _ = finish.send(());
    });
    let body = [Step::Data("a"), Step::WaitFor(finished), Step::Data("b")];
    (status, Body::new(ScriptedBody::new(body)))
}

/// A simulated process: a thread with its own runtime, subscriber, recorder and exporter.
struct Process {
    address: SocketAddr,
    metrics: Metrics,
    source: Source,
    _alive: oneshot::Sender<()>,
}

impl Process {
    async fn start(
        name: &'static str,
        collector: &Receiver,
        backend: Backend,
        app: impl FnOnce(&ProcessBackend) -> Router + Send + 'static,
    ) -> Self {
        let endpoint = collector.endpoint();
        let (ready, is_ready) = oneshot::channel();
        let (alive, is_alive) = oneshot::channel();
        let serving = async move || {
            let source = source(name, &endpoint);
            let installed = LocalTelemetry::new(&source);
            let process = Self {
                address: serve(app(&ProcessBackend(backend, source.clone()))).await,
                metrics: installed.metrics().clone(),
                source,
                _alive: alive,
            };
            let _ = ready.send(process);
            let _: Result<(), _> = is_alive.await;
        };
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(serving());
        });
        with_timeout("the service starts", is_ready).await.unwrap()
    }
}

/// Returns a provider and a recorder that export over OTLP/gRPC from the current runtime.
fn source(service: &'static str, endpoint: &str) -> Source {
    let exporter = || {
        opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .unwrap()
    };
    let resource = Resource::builder_empty().with_service_name(service).build();
    let recorder = Recorder::builder(exporter()).resource(resource.clone());
    Source {
        provider: SdkTracerProvider::builder()
            .with_batch_exporter(exporter())
            .with_resource(resource)
            .build(),
        recorder: Arc::new(recorder.build().unwrap()),
    }
}

/// Flushes without blocking the runtime that exports.
async fn flush(source: &Source) {
    let Source { provider, recorder } = source.clone();
    let flushed = tokio::task::spawn_blocking(move || {
        provider.force_flush()?;
        recorder.flush(Duration::from_secs(20))
    });
    with_timeout("the spans are sent", flushed)
        .await
        .unwrap()
        .unwrap();
}

fn string(span: &Span, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::StringValue(value) => Some(value),
        other => panic!("{key} is not a string: {other:?}"),
    }
}

fn integer(span: &Span, key: &str) -> Option<i64> {
    match attribute(span, key)? {
        Value::IntValue(value) => Some(value),
        other => panic!("{key} is not an integer: {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends a request through both services and checks spans and metrics of all three processes.
async fn one_trace(backend: Backend, id: &str, status: StatusCode) {
    let collector = Receiver::start().await;
    let received_headers = ReceivedHeaders::default();
    let behind = {
        let received_headers = received_headers.clone();
        let app =
            move |process_backend: &ProcessBackend| behind_app(process_backend, received_headers);
        Process::start("behind", &collector, backend, app).await
    };
    let to = behind.address;
    let app = move |process_backend: &ProcessBackend| front_app(process_backend, to);
    let front = Process::start("front", &collector, backend, app).await;
    let source = source("caller", &collector.endpoint());
    let caller = LocalTelemetry::new(&source);

    let request = request(front.address, &format!("/a/{id}"));
    let client = client(&ProcessBackend(backend, source.clone()));
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), status);
    assert_eq!(response.text().await.unwrap(), "ab");
    for source in [&source, &front.source, &behind.source] {
        flush(source).await;
    }

    let spans = collector.spans(4).await;
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let find = |service: &str, kind: SpanKind| -> &Span {
        let mut found = spans
            .iter()
            .filter(|(name, span)| name == service && span.kind == kind as i32);
        let (_, span) = found.next().unwrap();
        assert!(found.next().is_none(), "{spans:#?}");
        span
    };
    let root = find("caller", SpanKind::Client);
    let front_server = find("front", SpanKind::Server);
    let front_client = find("front", SpanKind::Client);
    let behind_server = find("behind", SpanKind::Server);

    let code = i64::from(status.as_u16());
    let failed = status.is_server_error();
    for (span, parent, name, route) in [
        (root, None, "GET", None),
        (front_server, Some(root), "GET /a/{id}", Some("/a/{id}")),
        (front_client, Some(front_server), "GET", None),
        (
            behind_server,
            Some(front_client),
            "GET /b/{id}",
            Some("/b/{id}"),
        ),
    ] {
        assert_eq!(span.name, name);
        assert_eq!(span.trace_id, root.trace_id, "{name}");
        let parent = parent.map_or_else(Vec::new, |parent| parent.span_id.clone());
        assert_eq!(span.parent_span_id, parent, "{name}");
        assert_eq!(string(span, "http.route").as_deref(), route, "{name}");
        assert_eq!(string(span, "http.request.method").unwrap(), "GET");
        assert_eq!(integer(span, "http.response.status_code"), Some(code));
        let error = failed.then(|| code.to_string());
        assert_eq!(string(span, "error.type"), error, "{name}");
        let expected = if failed {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        };
        let status = span.status.clone().unwrap_or_default();
        assert_eq!((status.code(), status.message.as_str()), (expected, ""));
    }
    for (span, server) in [(root, front.address), (front_client, behind.address)] {
        assert_eq!(string(span, "server.address").unwrap(), "127.0.0.1");
        assert_eq!(integer(span, "server.port"), Some(server.port().into()));
        assert_eq!(
            integer(span, "network.peer.port"),
            Some(server.port().into())
        );
    }
    assert_eq!(
        string(root, "url.full").unwrap(),
        format!("http://{}/a/{id}", front.address)
    );
    assert_eq!(
        string(front_server, "url.path").unwrap(),
        format!("/a/{id}")
    );
    assert_eq!(
        string(behind_server, "url.path").unwrap(),
        format!("/b/{id}")
    );

    let received_headers = received_headers.lock().unwrap();
    let [received] = received_headers.as_slice() else {
        panic!("one request, not {received_headers:?}");
    };
    let lines: Vec<_> = received.get_all("traceparent").iter().collect();
    let (trace, parent) = (hex(&root.trace_id), hex(&front_client.span_id));
    assert_eq!(lines, [format!("00-{trace}-{parent}-01").as_str()]);

    let (a, b) = (("path", "/a/{id}"), ("path", "/b/{id}"));
    let (to_a, to_b) = (front.address.to_string(), behind.address.to_string());
    let (to_a, to_b) = (("host", to_a.as_str()), ("host", to_b.as_str()));
    for (span, metrics, prefix, place) in [
        (root, caller.metrics(), "http_client", to_a),
        (front_server, &front.metrics, "http", a),
        (front_client, &front.metrics, "http_client", to_b),
        (behind_server, &behind.metrics, "http", b),
    ] {
        let text = metrics.text();
        let total = format!("{prefix}_requests_total");
        let labels = [("method", "GET"), place, ("status", status.as_str())];
        assert_eq!(metrics.sum(&total, &labels), 1.0, "{text}");
        assert_eq!(metrics.sum(&total, &[]), 1.0, "{text}");
        let count = format!("{prefix}_request_duration_seconds_count");
        assert_eq!(metrics.sum(&count, &[place]), 1.0, "{text}");
        let in_flight = format!("{prefix}_requests_in_flight");
        assert_eq!(metrics.sum(&in_flight, &[]), 0.0, "{text}");

        let nanos = span.end_time_unix_nano - span.start_time_unix_nano;
        let duration = Duration::from_nanos(nanos).as_secs_f64();
        let sum = format!("{prefix}_request_duration_seconds_sum");
        let counted = metrics.sum(&sum, &[place]);
        assert!(duration > SLOW.as_secs_f64() - TOLERANCE, "{duration} s");
        assert!(
            (duration - counted).abs() < TOLERANCE,
            "{}: a span of {duration} s, recorded as {counted} s",
            span.name
        );
    }
}

#[tokio::test]
async fn a_request_through_two_services_is_one_trace_and_counted_with_its_duration() {
    for backend in Backend::ALL {
        one_trace(backend, "7", StatusCode::OK).await;
    }
}

#[tokio::test]
async fn a_failure_in_the_last_service_is_recorded_at_every_hop() {
    for backend in Backend::ALL {
        one_trace(backend, "broken", StatusCode::INTERNAL_SERVER_ERROR).await;
    }
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACESTATE: &str = "vendor=1,tenant@@system=2";

/// Sends a request with a trace to a service that calls another one with `client`. Returns the trace
/// headers that the other one received.
async fn forwarded_headers<C>(
    process_backend: &ProcessBackend,
    client: C,
    filter: Filter,
) -> (String, Option<String>)
where
    C: Service<reqwest::Request, Response = reqwest::Response, Error = reqwest::Error>
        + Clone
        + Send
        + Sync
        + 'static,
    C::Future: Send,
{
    let received_headers = ReceivedHeaders::default();
    let state = received_headers.clone();
    let behind = serve(Router::new().fallback(async move |headers: HeaderMap| {
        state.lock().unwrap().push(headers);
    }))
    .await;
    let front = Router::new()
        .route(
            "/health/live",
            get(async move || {
                let response = client.oneshot(request(behind, "/")).await.unwrap();
                response.status()
            }),
        )
        .layer(
            ServiceBuilder::new()
                .layer(process_backend.layer(TraceLayer::server().filter(filter.clone())))
                .layer(MetricsLayer::server().filter(filter)),
        );
    let mut incoming = request(serve(front).await, "/health/live");
    let headers = incoming.headers_mut();
    headers.insert("traceparent", TRACEPARENT.parse().unwrap());
    headers.insert("tracestate", TRACESTATE.parse().unwrap());
    let response = with_timeout("the response", bare_client().execute(incoming)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let received_headers = received_headers.lock().unwrap();
    let [received] = received_headers.as_slice() else {
        panic!("one request, not {received_headers:?}");
    };
    let line = |name: &str| {
        let mut lines = received.get_all(name).iter();
        let line = lines.next().map(|line| line.to_str().unwrap().to_owned());
        assert_eq!(lines.next(), None);
        line
    };
    (line("traceparent").unwrap(), line("tracestate"))
}

#[tokio::test]
async fn a_filtered_request_forwards_its_trace() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let process_backend = ProcessBackend(backend, telemetry.source().clone());
        let client = ServiceBuilder::new()
            .layer(PropagateLayer::new())
            .service(bare_client());
        let filter = Filter::skip_paths(["/health"]);
        let (traceparent, tracestate) = forwarded_headers(&process_backend, client, filter).await;
        assert_eq!(traceparent, TRACEPARENT);
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
        assert_eq!(telemetry.spans(), []);
        assert_eq!(telemetry.sum("http_requests_total", &[]), 0.0);
    }
}

#[tokio::test]
async fn a_client_span_in_a_filtered_request_belongs_to_its_trace() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let process_backend = ProcessBackend(backend, telemetry.source().clone());
        let filter = Filter::skip_paths(["/health"]);
        let (traceparent, tracestate) =
            forwarded_headers(&process_backend, client(&process_backend), filter).await;
        let spans = telemetry.spans();
        let [span] = spans.as_slice() else {
            panic!("one span, not {spans:#?}");
        };
        let (context, parent) = (&span.span_context, span.parent_span_id);
        let (trace, id) = (context.trace_id(), context.span_id());
        assert_eq!(traceparent, format!("00-{trace}-{id}-01"));
        assert_eq!(TRACEPARENT, format!("00-{trace}-{parent}-01"));
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
        assert_eq!(telemetry.sum("http_requests_total", &[]), 0.0);
        assert_eq!(telemetry.sum("http_client_requests_total", &[]), 1.0);
    }
}

#[tokio::test]
async fn joined_observers_write_the_client_span_in_either_order() {
    fn traceparent(request: Request<()>) -> Result<Response<String>, BoxError> {
        let header = request.headers().get("traceparent");
        Ok(Response::new(header.unwrap().to_str()?.to_owned()))
    }
    async fn body_of<B>(response: Result<Response<B>, BoxError>) -> Bytes
    where
        B: http_body::Body<Data = Bytes, Error: Debug>,
    {
        let body = response.unwrap().into_body();
        body.collect().await.unwrap().to_bytes()
    }
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let trace = || backend.layer(telemetry.source(), TraceLayer::client());
        let echo = service_fn(async |request| traceparent(request));
        let inside = observe((trace(), PropagateLayer::new())).layer(echo);
        let outside = observe((PropagateLayer::new(), trace())).layer(echo);
        let sent = [
            body_of(inside.oneshot(Request::new(())).await).await,
            body_of(outside.oneshot(Request::new(())).await).await,
        ];
        for sent in sent {
            let spans = telemetry.spans();
            let written = spans.iter().any(|span| {
                let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
                sent == format!("00-{trace}-{id}-01")
            });
            assert!(written, "{sent:?} in {spans:#?}");
        }
    }
}

#[tokio::test]
async fn an_unrecorded_request_forwards_its_trace() {
    for backend in Backend::ALL {
        // A provider and a recorder that are shut down record nothing.
        let source = Source::discarding();
        source.provider.shutdown().unwrap();
        source.recorder.shutdown(Duration::from_secs(20)).unwrap();
        let process_backend = ProcessBackend(backend, source);
        let (traceparent, tracestate) = forwarded_headers(
            &process_backend,
            client(&process_backend),
            Filter::default(),
        )
        .await;
        assert_eq!(traceparent, TRACEPARENT);
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
    }
}
