//! Calls beyond the limit of the series.

use suite_tests::telemetry::TestTelemetry;
use tower::{Layer, service_fn};
use tower_otel_metrics::MetricsLayer;

use crate::calls::{call, counted, respond};

#[test]
fn calls_beyond_the_limit_are_counted_in_the_overflow_series() {
    let telemetry = TestTelemetry::new();
    for layer in [MetricsLayer::server(), MetricsLayer::client()] {
        let layer = layer.grpc().series_limit(3);
        let mut service = layer.layer(service_fn(respond));
        for method in 0..10 {
            call(&mut service, &format!("/{method}.Service/status-0"));
        }
    }
    for (kind, series) in [("", 3), ("client_", 4)] {
        let total = format!("grpc_{kind}requests_total");
        let overflow = [("method", "overflow"), ("status", "overflow")];
        let counted = counted(&telemetry);
        let prefix = format!("{total}{{");
        let found = counted.keys().filter(|key| key.starts_with(&prefix));
        assert_eq!(found.count(), series, "{counted:#?}");
        assert_eq!(telemetry.sum(&total, &[]), 10.0);
        assert!(telemetry.sum(&total, &overflow) >= 7.0);
        assert_eq!(
            telemetry.sum(&format!("grpc_{kind}requests_in_flight"), &[]),
            0.0
        );
    }
}
