//! A service in this process, and its requests.

use axum::{Router, body::Body, http::Request, routing::get};
use collector::Collector;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tower::ServiceExt;
use tower_otel_init::{
    Layers, MetricsExporter, Protocol, Sampler, Telemetry, TelemetryBuilder, TraceLayer,
};
use tracing_subscriber::Registry;

pub(crate) const REQUESTS: usize = 10_000;

pub(crate) fn current_thread() -> Runtime {
    RuntimeBuilder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn multi_thread() -> Runtime {
    RuntimeBuilder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn builder(collector: &Collector, protocol: Protocol) -> TelemetryBuilder {
    Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .protocol(protocol)
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
}

pub(crate) fn start(builder: TelemetryBuilder) -> Telemetry {
    let (telemetry, _): (_, Layers<Registry>) = builder.local().unwrap();
    telemetry
}

pub(crate) fn app(telemetry: &Telemetry) -> Router {
    let provider = telemetry.tracer_provider().unwrap();
    Router::new()
        .route("/users/{id}", get(|| async { "user" }))
        .layer(TraceLayer::server().tracer_provider(provider))
}

/// Sends requests from tasks on every worker.
pub(crate) fn send_requests(runtime: &Runtime, app: &Router, requests: usize) {
    const TASKS: usize = 4;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move {
                    for _ in 0..requests / TASKS {
                        let request = Request::get("/users/7").body(Body::empty()).unwrap();
                        let response = app.clone().oneshot(request).await.unwrap();
                        assert_eq!(response.status(), 200);
                        axum::body::to_bytes(response.into_body(), 100)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
