//! A front service that calls another one, each with the layers and an exporter of its own.

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
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use suite_tests::{
    backend::{AnyTraceLayer, Backend, Source},
    net::{ScriptedBody, Step, serve},
    otlp::Receiver,
    telemetry::{LocalTelemetry, Metrics, with_timeout},
};
use tokio::sync::oneshot;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::{Observed, RouteLayer};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{Propagate, PropagateLayer};
use tower_otel_trace::{Recorder, TraceLayer};

type Client = Observed<Observed<Propagate<reqwest::Client>, MetricsLayer>, AnyTraceLayer>;

/// The headers of the requests that a service received.
pub(crate) type ReceivedHeaders = Arc<Mutex<Vec<HeaderMap>>>;

/// The delay of the response body of the backend service.
pub(crate) const SLOW: Duration = Duration::from_millis(100);

/// The allowed difference, in seconds, between the durations of a span and of a metric of one exchange. They use
/// different clocks (wall and monotonic), which are read microseconds apart, or some milliseconds apart on a busy
/// machine. Half of [`SLOW`] is more than that, and less than the difference if one of the two durations ends at the
/// response head.
pub(crate) const TOLERANCE: f64 = 0.05;

/// The span backend of a process and its exporters.
#[derive(Clone)]
pub(crate) struct ProcessBackend(pub(crate) Backend, pub(crate) Source);

impl ProcessBackend {
    pub(crate) fn layer(&self, layer: TraceLayer) -> AnyTraceLayer {
        self.0.layer(&self.1, layer)
    }
}

pub(crate) fn client(process_backend: &ProcessBackend) -> Client {
    ServiceBuilder::new()
        .layer(process_backend.layer(TraceLayer::client()))
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(bare_client())
}

pub(crate) fn bare_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn request(to: SocketAddr, path: &str) -> reqwest::Request {
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
    pub(crate) client: Client,
}

async fn front(State(front): State<Front>, Path(id): Path<String>) -> (StatusCode, Body) {
    let request = request(front.behind, &format!("/b/{id}"));
    let response = front.client.oneshot(request).await.unwrap();
    let status = response.status();
    (status, Body::from_stream(response.bytes_stream()))
}

/// A frontend whose route the layer knows when the exchange starts.
pub(crate) fn front_app(process_backend: &ProcessBackend, behind: SocketAddr) -> Router {
    let client = client(process_backend);
    let app = Router::new()
        .route("/a/{id}", get(front))
        .with_state(Front { behind, client });
    observed(process_backend, app)
}

/// A backend service whose route is known only in its nested router.
pub(crate) fn behind_app(
    process_backend: &ProcessBackend,
    received_headers: ReceivedHeaders,
) -> Router {
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
        // The body ends this time after the head. The test measures the delay.
        tokio::time::sleep(SLOW).await;
        let _ = finish.send(());
    });
    let body = [Step::Data("a"), Step::WaitFor(finished), Step::Data("b")];
    (status, Body::new(ScriptedBody::new(body)))
}

/// A simulated process: a thread with its own runtime, subscriber, recorder and exporter.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) source: Source,
    _alive: oneshot::Sender<()>,
}

impl Process {
    pub(crate) async fn start(
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
pub(crate) fn source(service: &'static str, endpoint: &str) -> Source {
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
