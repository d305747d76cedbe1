//! A server with the layers.

use std::net::SocketAddr;

use axum::{Router, response::IntoResponse};
use hyper_util::rt::TokioIo;
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    telemetry::{TestTelemetry, with_convention_names},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceBuilder;
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// A server. Its connections end when its task ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<()>,
}

/// Serves one connection.
pub(crate) async fn serve(router: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router);
        let builder =
            hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let _ = connection.await;
    });
    Server { address, task }
}

pub(crate) fn layered(router: Router, telemetry: &TestTelemetry, backend: Backend) -> Router {
    let trace = backend.layer(telemetry.source(), TraceLayer::server());
    let metrics = MetricsLayer::server();
    let metrics = (metrics.clone(), with_convention_names(metrics));
    router.layer(
        ServiceBuilder::new()
            .map_response(IntoResponse::into_response)
            .layer(observe((trace, metrics))),
    )
}

pub(crate) fn named<'a>(spans: &'a [SpanData], name: &str) -> Option<&'a SpanData> {
    spans.iter().find(|span| span.name == name)
}
