//! Options for calls: the address of the server, the recorder, and none.

use suite_tests::telemetry::TestTelemetry;
use tower::{Layer, service_fn};
use tower_otel_metrics::MetricsLayer;

use crate::calls::{call, respond};

#[test]
fn the_address_of_a_server_is_a_label_by_option() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server().grpc().server_address();
    call(&mut layer.layer(service_fn(respond)), "/a.Service/status-5");
    let labels = [("host", "shop.internal:50051"), ("status", "NOT_FOUND")];
    assert_eq!(telemetry.sum("grpc_requests_total", &labels), 1.0);
}

#[test]
fn calls_are_counted_from_the_installation_of_a_recorder_on() {
    let mut service = MetricsLayer::server().grpc().layer(service_fn(respond));
    call(&mut service, "/a.Service/status-0");
    let telemetry = TestTelemetry::new();
    call(&mut service, "/a.Service/status-0");
    call(&mut service, "/a.Service/status-0");
    let labels = [("method", "a.Service/status-0"), ("status", "OK")];
    assert_eq!(telemetry.sum("grpc_requests_total", &labels), 2.0);
    assert_eq!(telemetry.sum("grpc_requests_in_flight", &[]), 0.0);
}

#[test]
fn without_the_option_a_call_is_counted_as_http() {
    let telemetry = TestTelemetry::new();
    let mut service = MetricsLayer::server().layer(service_fn(respond));
    call(&mut service, "/a.Service/status-5");
    let labels = [("method", "POST"), ("status", "200")];
    assert_eq!(telemetry.sum("http_requests_total", &labels), 1.0);
    assert!(!telemetry.metrics().contains("grpc"));
}
