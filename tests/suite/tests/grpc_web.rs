//! Calls of gRPC-Web that `tonic-web` translates for the layers inside of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use bytes::Bytes;
use http::{Request, Version, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use suite_tests::{
    backend::Backend,
    grpc_calls::assert_status,
    grpc_service::CartService,
    telemetry::{TestTelemetry, text},
};
use tonic_web::GrpcWebLayer;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// A message with the text `5`. The service responds with the status of that code.
const NOT_FOUND: &[u8] = b"\0\0\0\0\x015";

#[tokio::test]
async fn a_translated_call_is_recorded_with_its_status_over_every_http_version() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for backend in Backend::ALL {
            let telemetry = TestTelemetry::new();
            let service = ServiceBuilder::new()
                .layer(GrpcWebLayer::new())
                .layer(backend.layer(telemetry.source(), TraceLayer::server().grpc()))
                .layer(MetricsLayer::server().grpc())
                .service(CartService::default());
            let request = Request::post("http://shop.internal/shop.Cart/Unary")
                .version(version)
                .header(CONTENT_TYPE, "application/grpc-web+proto")
                .body(Full::new(Bytes::from_static(NOT_FOUND)));
            let response = service.oneshot(request.unwrap()).await.unwrap();
            response.into_body().collect().await.unwrap();
            let total = |name| telemetry.sum(name, &[]);
            let labels = [("status", "NOT_FOUND")];
            let calls = telemetry.sum("grpc_requests_total", &labels);
            let totals = (calls, total("http_requests_total"));
            assert_eq!(totals, (1.0, 0.0), "{version:?} {backend:?}");
            let spans = telemetry.spans();
            assert_eq!(spans.len(), 1);
            assert_eq!(
                text(&spans[0], "rpc.system.name").as_deref(),
                Some("grpc"),
                "{version:?} {backend:?}"
            );
            assert_status(&spans[0], ("NOT_FOUND", None));
        }
    }
}
