//! Spans that are lost are counted.

use axum::{Router, body::Body, http::Request, routing::get};
use collector::{Behavior, Collector, TIMEOUT};
use tower::ServiceExt;
use tower_otel_init::{MetricsExporter, Protocol};

use crate::service::{REQUESTS, app, builder, current_thread, multi_thread, send_requests, start};

#[test]
fn spans_dropped_by_a_full_queue_are_counted() {
    for runtime in [current_thread, multi_thread] {
        for (collector, protocol) in [
            (Collector::grpc(), Protocol::Grpc),
            (Collector::http(), Protocol::HttpProtobuf),
        ] {
            let telemetry = start(builder(&collector, protocol).queue_size(64).batch_size(16));
            // The collector cannot respond before all requests have been sent.
            let held = collector.received.lock().unwrap();
            send_requests(&runtime(), &app(&telemetry), REQUESTS);
            drop(held);
            let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
            assert!(dropped.queue_full > 0, "{dropped:?}");
            assert_eq!((dropped.export_failed, dropped.shutdown), (0, 0));
            assert_eq!(collector.spans() as u64 + dropped.total(), REQUESTS as u64);
        }
    }
}

#[test]
fn spans_of_failed_exports_are_counted_and_requests_succeed() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let collector = Collector::start(http, Behavior::Refuses);
        let telemetry = start(builder(&collector, protocol));
        send_requests(&current_thread(), &app(&telemetry), 100);
        let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
        assert_eq!((dropped.export_failed, dropped.total()), (100, 100));
    }
}

#[test]
fn spans_rejected_by_partial_success_are_counted() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let collector = Collector::start(http, Behavior::Rejects);
        let telemetry = start(builder(&collector, protocol).batch_size(10));
        send_requests(&current_thread(), &app(&telemetry), 100);
        let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
        assert!(dropped.rejected >= 10, "{protocol:?}: {dropped:?}");
        assert_eq!(dropped.rejected, dropped.total());
        assert_eq!(collector.spans() as u64 + dropped.rejected, 100);
    }
}

#[test]
fn pushed_metrics_include_the_counters_of_lost_spans() {
    use tower_otel_init::{MetricsLayer, Names};
    let collector = Collector::grpc();
    let telemetry = start(builder(&collector, Protocol::Grpc).metrics(MetricsExporter::Otlp));
    let layer = MetricsLayer::server()
        .names(Names::Conventions)
        .meter_provider(telemetry.meter_provider().unwrap());
    let app = Router::new().route("/", get(|| async {})).layer(layer);
    current_thread().block_on(async {
        app.oneshot(Request::get("/").body(Body::empty()).unwrap())
            .await
            .unwrap();
    });
    telemetry.shutdown(TIMEOUT).unwrap();
    let metrics = &collector.received.lock().unwrap().metrics;
    for name in [
        "http.server.request.duration",
        "otel.sdk.processor.span.processed",
        "otel.sdk.exporter.span.exported",
    ] {
        assert!(
            metrics.iter().any(|metric| metric == name),
            "{name} in {metrics:?}"
        );
    }
}
