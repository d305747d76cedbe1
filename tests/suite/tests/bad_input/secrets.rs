//! Secrets in the target and in `Host`.

use suite_tests::telemetry::TestTelemetry;
use tower_otel_semconv::TrustedProxies;
use tower_otel_trace::TraceLayer;

use crate::servers::{placements_and_backends, send, serve_layered};

#[tokio::test]
async fn secrets_in_the_request_target_are_not_recorded() {
    for (placement, backend) in placements_and_backends() {
        let telemetry = TestTelemetry::new();
        let layer = TraceLayer::server().trusted_proxies(TrustedProxies::all());
        let layered = serve_layered(placement, backend.layer(telemetry.source(), layer)).await;
        let line = "GET http://me:s3cr3t@one.example/things/7?sig=s3cr3t HTTP/1.1";
        let request = format!("{line}\r\nHost: me:s3cr3t@two.example\r\nConnection: close\r\n\r\n");
        assert!(send(layered, request.as_bytes()).await.contains("s3cr3t"));
        telemetry
            .wait_until("the span ends", |telemetry| !telemetry.spans().is_empty())
            .await;
        let recorded = format!("{:?}{}", telemetry.spans(), telemetry.metrics());
        assert!(!recorded.contains("s3cr3t"), "{recorded}");
    }
}
