//! A service with keep rules, and the collector that receives its traces.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};
use opentelemetry_sdk::trace::Sampler;
use suite_tests::{
    net::{Http, ScriptedBody, Step, pooled_client},
    otlp::{Receiver, attribute},
};
use tokio::net::TcpListener;
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::{Keep, OtlpExporter, Recorder, keep_trace};
use tower_otel_trace::{AnyBackend, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

/// The limit of `slower_than`. Only requests that are slow on purpose take longer.
pub(crate) const SLOW: Duration = Duration::from_secs(3);

const LONG: Duration = Duration::from_secs(30);

/// The span backend of the layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Tracing,
    /// `tracing` spans whose records the layer writes.
    TracingRecord,
    OpenTelemetry,
    Records,
}

pub(crate) const BACKENDS: [Backend; 4] = [
    Backend::Tracing,
    Backend::TracingRecord,
    Backend::OpenTelemetry,
    Backend::Records,
];

/// A recorder that samples no trace, with a collector. Its layer is the subscriber of this thread.
pub(crate) struct Setup {
    pub(crate) recorder: Arc<Recorder>,
    receiver: Receiver,
    pub(crate) backend: Backend,
    prometheus: Prometheus,
    _metrics: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Setup {
    pub(crate) async fn new(backend: Backend, rules: Keep) -> Self {
        let receiver = Receiver::start().await;
        let none = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)));
        let recorder = Recorder::builder(OtlpExporter::grpc(receiver.endpoint()))
            .sampler_without_attributes(none)
            .keep(rules)
            .queue_size(10_000)
            .build()
            .unwrap();
        let layer = match backend {
            Backend::TracingRecord => recorder.layer().alone(),
            _ => recorder.layer(),
        };
        let subscriber = tracing_subscriber::registry().with(layer);
        let (metrics, prometheus) = Prometheus::builder().exemplars().build().unwrap();
        Self {
            recorder: Arc::new(recorder),
            receiver,
            backend,
            prometheus,
            _metrics: metrics::set_default_local_recorder(Box::leak(Box::new(metrics))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn layer(&self, layer: TraceLayer) -> TraceLayer<AnyBackend> {
        match self.backend {
            Backend::Tracing | Backend::TracingRecord => layer.any_backend(),
            Backend::OpenTelemetry => {
                let provider = self.recorder.tracer_provider();
                layer.tracer_provider(&provider).any_backend()
            }
            Backend::Records => layer.recorder(&self.recorder).any_backend(),
        }
    }

    pub(crate) async fn serve(&self) -> SocketAddr {
        let router = Router::new()
            .route("/{action}", get(handle))
            .with_state(Arc::clone(&self.recorder))
            .layer(observe((
                self.layer(TraceLayer::server()),
                MetricsLayer::server(),
            )))
            .route_service("/metrics", self.prometheus.service());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Returns the spans that the collector has received, by trace.
    pub(crate) async fn traces(&self) -> Vec<Vec<Span>> {
        let recorder = Arc::clone(&self.recorder);
        let flush = tokio::task::spawn_blocking(move || recorder.flush(LONG));
        flush.await.unwrap().unwrap();
        let mut traces: HashMap<Vec<u8>, Vec<Span>> = HashMap::new();
        for (_, span) in self.receiver.spans(0).await {
            traces.entry(span.trace_id.clone()).or_default().push(span);
        }
        traces.into_values().collect()
    }

    /// Waits until the spans of these traces have ended, and returns them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Vec<Span>> {
        let deadline = Instant::now() + LONG;
        loop {
            let traces = self.traces().await;
            if traces.len() >= count {
                return traces;
            }
            assert!(Instant::now() < deadline, "{count} traces: {traces:#?}");
        }
    }
}

/// Returns the trace ids of the exemplars on `/metrics`.
pub(crate) async fn exemplars(of: SocketAddr) -> BTreeSet<String> {
    let request = Request::get(format!("http://{of}/metrics"));
    let request = request.header("accept", "application/openmetrics-text");
    let request = request.body(Empty::new()).unwrap();
    let response = pooled_client(Http::One).request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let exemplars = text.lines().filter_map(|line| line.split_once(" # "));
    let ids = exemplars.map(|(_, exemplar)| exemplar.split('"').nth(1).unwrap().to_owned());
    ids.collect()
}

/// Returns the trace ids of spans as exemplars have them.
pub(crate) fn trace_ids<'a>(traces: impl IntoIterator<Item = &'a Vec<Span>>) -> BTreeSet<String> {
    let ids = traces.into_iter().map(|trace| {
        let id = &trace[0].trace_id;
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    ids.collect()
}

/// Handles a request inside a `tracing` span and a span of the OpenTelemetry API.
async fn handle(State(recorder): State<Arc<Recorder>>, Path(action): Path<String>) -> Response {
    {
        let _load = tracing::info_span!("load", action).entered();
        let tracer = recorder.tracer_provider().tracer("shop");
        tracer.in_span("query", |_| {});
    }
    match &*action {
        "fails" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "slow" => {
            tokio::time::sleep(SLOW + Duration::from_millis(100)).await;
            "late".into_response()
        }
        "marked" => {
            keep_trace();
            "marked".into_response()
        }
        "panics" => panic!("the handler panics"),
        "pending" => std::future::pending().await,
        "endless" => axum::body::Body::new(ScriptedBody::new([Step::Data("a"), Step::Pending]))
            .into_response(),
        "body-fails" => {
            axum::body::Body::new(ScriptedBody::new([Step::Data("a"), Step::Error])).into_response()
        }
        _ => "good".into_response(),
    }
}

/// Sends `count` requests, some of them concurrently.
pub(crate) async fn send(to: SocketAddr, action: &'static str, count: usize) {
    let client = pooled_client(Http::One);
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in (task..count).step_by(10) {
                    let request = Request::get(format!("http://{to}/{action}"));
                    let request = request.body(Empty::new()).unwrap();
                    let response = client.request(request).await.unwrap();
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

pub(crate) fn reason(span: &Span) -> String {
    match attribute(span, "sampling.keep.reason") {
        Some(Value::StringValue(reason)) => reason,
        other => panic!("{other:?} in {span:#?}"),
    }
}

/// Asserts that the trace is complete, and that its spans are marked as kept and not sampled. Returns the reason.
pub(crate) fn assert_whole(trace: &[Span]) -> String {
    let mut names: Vec<_> = trace.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /{action}", "load", "query"], "{trace:#?}");
    let find = |name| trace.iter().find(|span| span.name == name).unwrap();
    let (root, load, query) = (find("GET /{action}"), find("load"), find("query"));
    assert_eq!(root.parent_span_id, [0_u8; 0]);
    assert_eq!(load.parent_span_id, root.span_id);
    assert_eq!(query.parent_span_id, load.span_id);
    assert!(trace.iter().all(|span| span.flags & 1 == 0), "{trace:#?}");
    let why = reason(root);
    assert!(trace.iter().all(|span| reason(span) == why), "{trace:#?}");
    why
}
