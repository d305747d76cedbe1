//! A client, a service and the service it calls: one trace, exported over OTLP, and the same
//! requests counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing::get,
};
use http::{HeaderMap, Method, StatusCode};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use suite_tests::{
    backend::{AnyTraceLayer, Backend, Source},
    net::{Script, Step, serve},
    otlp::{Receiver, attribute},
    scene::{Installed, Metrics, Scene, within},
};
use tokio::sync::oneshot;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_otel_core::{Filter, Observed, RouteLayer};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{Propagate, PropagateLayer};
use tower_otel_trace::{Recorder, TraceLayer};

type Client = Observed<Observed<Propagate<reqwest::Client>, MetricsLayer>, AnyTraceLayer>;

/// Headers of the requests a service has received.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// How long the last service takes to finish its body.
const SLOW: Duration = Duration::from_millis(100);

/// How far a span and a duration of the same exchange may be apart. They are read from different
/// clocks (wall and monotonic) on the two sides of a layer, microseconds apart unless the thread
/// is put aside in between; a machine with a few busy tests may do so for some milliseconds. Half
/// of [`SLOW`] is far more than that, and far less than what is lost if one of the two ends with
/// the response's head.
const TOLERANCE: f64 = 0.05;

/// Who makes the spans of a process, and with what.
#[derive(Clone)]
struct Kind(Backend, Source);

impl Kind {
    fn layer(&self, layer: TraceLayer) -> AnyTraceLayer {
        self.0.layer(&self.1, layer)
    }
}

fn client(kind: &Kind) -> Client {
    ServiceBuilder::new()
        .layer(kind.layer(TraceLayer::client()))
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

fn observed(kind: &Kind, app: Router) -> Router {
    app.layer(
        ServiceBuilder::new()
            .layer(kind.layer(TraceLayer::server()))
            .layer(MetricsLayer::server()),
    )
}

/// The service in front: calls the one behind, and passes its answer on as it comes.
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

/// The route is known when the request arrives.
fn front_app(kind: &Kind, behind: SocketAddr) -> Router {
    let client = client(kind);
    let app = Router::new()
        .route("/a/{id}", get(front))
        .with_state(Front { behind, client });
    observed(kind, app)
}

/// The route is known only inside of the nested router.
fn behind_app(kind: &Kind, seen: Seen) -> Router {
    let things = Router::new()
        .route("/{id}", get(behind))
        .layer(RouteLayer::new())
        .with_state(seen);
    observed(kind, Router::new().nest_service("/b", things))
}

async fn behind(
    State(seen): State<Seen>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, Body) {
    seen.lock().unwrap().push(headers);
    let status = match id.as_str() {
        "broken" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let (finish, finished) = oneshot::channel();
    tokio::spawn(async move {
        // What takes its time, after the head: the test measures that, and waits for nothing.
        tokio::time::sleep(SLOW).await;
        let _ = finish.send(());
    });
    let body = [Step::Data("a"), Step::Until(finished), Step::Data("b")];
    (status, Body::new(Script::of(body)))
}

/// A process, as far as telemetry is concerned: a thread with a runtime, a subscriber, a recorder
/// and an exporter of its own.
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
        app: impl FnOnce(&Kind) -> Router + Send + 'static,
    ) -> Self {
        let endpoint = collector.endpoint();
        let (ready, is_ready) = oneshot::channel();
        let (alive, is_alive) = oneshot::channel();
        let serving = async move || {
            let source = source(name, &endpoint);
            let installed = Installed::new(&source);
            let process = Self {
                address: serve(app(&Kind(backend, source.clone()))).await,
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
        within("the service starts", is_ready).await.unwrap()
    }
}

/// Exports over OTLP/gRPC, from the runtime it is made in.
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

/// Sends what is to be exported, while the runtimes that send it go on.
async fn flush(source: &Source) {
    let Source { provider, recorder } = source.clone();
    let flushed = tokio::task::spawn_blocking(move || {
        provider.force_flush()?;
        recorder.flush(Duration::from_secs(20))
    });
    within("the spans are sent", flushed)
        .await
        .unwrap()
        .unwrap();
}

fn string(span: &Span, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::StringValue(value) => Some(value),
        other => panic!("{key} is no string: {other:?}"),
    }
}

fn integer(span: &Span, key: &str) -> Option<i64> {
    match attribute(span, key)? {
        Value::IntValue(value) => Some(value),
        other => panic!("{key} is no integer: {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request through both services, and what has to be told of it everywhere.
async fn one_trace(backend: Backend, id: &str, status: StatusCode) {
    let collector = Receiver::start().await;
    let seen = Seen::default();
    let behind = {
        let seen = seen.clone();
        let app = move |kind: &Kind| behind_app(kind, seen);
        Process::start("behind", &collector, backend, app).await
    };
    let to = behind.address;
    let app = move |kind: &Kind| front_app(kind, to);
    let front = Process::start("front", &collector, backend, app).await;
    let source = source("caller", &collector.endpoint());
    let caller = Installed::new(&source);

    let request = request(front.address, &format!("/a/{id}"));
    let client = client(&Kind(backend, source.clone()));
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
        let told = span.status.clone().unwrap_or_default();
        assert_eq!((told.code(), told.message.as_str()), (expected, ""));
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

    let seen = seen.lock().unwrap();
    let [received] = seen.as_slice() else {
        panic!("one request, not {seen:?}");
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
        let lasted = Duration::from_nanos(nanos).as_secs_f64();
        let sum = format!("{prefix}_request_duration_seconds_sum");
        let counted = metrics.sum(&sum, &[place]);
        assert!(lasted > SLOW.as_secs_f64() - TOLERANCE, "{lasted} s");
        assert!(
            (lasted - counted).abs() < TOLERANCE,
            "{}: a span of {lasted} s, counted as {counted} s",
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
async fn a_failure_behind_shows_at_every_hop() {
    for backend in Backend::ALL {
        one_trace(backend, "broken", StatusCode::INTERNAL_SERVER_ERROR).await;
    }
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACESTATE: &str = "vendor=1,tenant@@system=2";

/// Sends a request with a trace to a service that asks another one by way of `client`, and
/// returns the trace headers that arrive there.
async fn passed_on<C>(kind: &Kind, client: C, filter: Filter) -> (String, Option<String>)
where
    C: Service<reqwest::Request, Response = reqwest::Response, Error = reqwest::Error>
        + Clone
        + Send
        + Sync
        + 'static,
    C::Future: Send,
{
    let seen = Seen::default();
    let state = seen.clone();
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
                .layer(kind.layer(TraceLayer::server().filter(filter.clone())))
                .layer(MetricsLayer::server().filter(filter)),
        );
    let mut asked = request(serve(front).await, "/health/live");
    let headers = asked.headers_mut();
    headers.insert("traceparent", TRACEPARENT.parse().unwrap());
    headers.insert("tracestate", TRACESTATE.parse().unwrap());
    let response = within("an answer", bare_client().execute(asked)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let seen = seen.lock().unwrap();
    let [received] = seen.as_slice() else {
        panic!("one request, not {seen:?}");
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
async fn a_request_that_is_filtered_out_passes_its_trace_on() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let kind = Kind(backend, scene.source().clone());
        let client = ServiceBuilder::new()
            .layer(PropagateLayer::new())
            .service(bare_client());
        let filter = Filter::skip_paths(["/health"]);
        let (traceparent, tracestate) = passed_on(&kind, client, filter).await;
        assert_eq!(traceparent, TRACEPARENT);
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
        assert_eq!(scene.spans(), []);
        assert_eq!(scene.sum("http_requests_total", &[]), 0.0);
    }
}

#[tokio::test]
async fn a_client_span_of_a_request_that_is_filtered_out_belongs_to_its_trace() {
    for backend in Backend::ALL {
        let scene = Scene::new();
        let kind = Kind(backend, scene.source().clone());
        let filter = Filter::skip_paths(["/health"]);
        let (traceparent, tracestate) = passed_on(&kind, client(&kind), filter).await;
        let spans = scene.spans();
        let [span] = spans.as_slice() else {
            panic!("one span, not {spans:#?}");
        };
        let (context, parent) = (&span.span_context, span.parent_span_id);
        let (trace, id) = (context.trace_id(), context.span_id());
        assert_eq!(traceparent, format!("00-{trace}-{id}-01"));
        assert_eq!(TRACEPARENT, format!("00-{trace}-{parent}-01"));
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
        assert_eq!(scene.sum("http_requests_total", &[]), 0.0);
        assert_eq!(scene.sum("http_client_requests_total", &[]), 1.0);
    }
}

#[tokio::test]
async fn a_request_that_nobody_records_passes_its_trace_on() {
    for backend in Backend::ALL {
        // One that is shut down records as little as no subscriber does.
        let source = Source::discarding();
        source.provider.shutdown().unwrap();
        source.recorder.shutdown(Duration::from_secs(20)).unwrap();
        let kind = Kind(backend, source);
        let (traceparent, tracestate) = passed_on(&kind, client(&kind), Filter::all()).await;
        assert_eq!(traceparent, TRACEPARENT);
        assert_eq!(tracestate.as_deref(), Some(TRACESTATE));
    }
}
