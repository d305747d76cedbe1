//! A collector that fails does not delay the service, and flush and shutdown push.

use collector::{Behavior, Collector, TIMEOUT};
use tower_otel_init::{Layers, MetricsExporter, Telemetry, TracesExporter};
use tracing_subscriber::Registry;

use crate::{
    samples::{of_scope, pushed},
    service::{SHUTDOWN, between, run},
};

#[test]
fn a_collector_that_fails_does_not_delay_the_service_and_is_logged_once() {
    for (http, protocol) in [(false, "grpc"), (true, "http/protobuf")] {
        for (behavior, problem) in [
            (Behavior::Refuses, "export of metrics to"),
            (
                Behavior::Rejects,
                "rejected 1 of the metrics of a batch: too old",
            ),
            (Behavior::Hangs, "timed out"),
            (Behavior::SendsGarbage, "export of metrics to"),
        ] {
            let collector = Collector::start(http, behavior);
            let output = run(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "10"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=c4n4ry"),
            ]);
            let case = format!("{protocol} {behavior:?}: {output}");
            assert!(between(&output, "scrape").contains("jobs_total"), "{case}");
            let took: u128 = between(&output, "shutdown").parse().unwrap();
            assert!(took < SHUTDOWN.as_millis() + 1_000, "{case}");
            assert!(output.contains(problem), "{case}");
            let warnings = output.matches("export of metrics to").count();
            assert!(warnings <= 1, "{case}");
            assert!(!output.contains("c4n4ry"), "{case}");
        }
    }
}

#[test]
fn a_flush_and_a_shutdown_push_the_metrics_of_now() {
    let collector = Collector::grpc();
    let builder = Telemetry::builder("users")
        .traces(TracesExporter::None)
        .metrics(MetricsExporter::Prometheus)
        .metrics(MetricsExporter::Otlp)
        .endpoint(collector.endpoint());
    let (telemetry, _): (_, Layers<Registry>) = builder.layers().unwrap();
    let pushed = || {
        let received = collector.received.lock().unwrap();
        let last = received.pushes.last().map(|(_, push)| push.clone());
        let pushes: Vec<_> = last.into_iter().collect();
        pushed(of_scope(&pushes, "tower-otel-init"))
    };
    for count in ["1", "2"] {
        metrics::counter!("flushed_total").increment(1);
        telemetry.flush(TIMEOUT).unwrap();
        assert_eq!(pushed()["flushed_total"], count);
    }
    metrics::gauge!("last").set(f64::NAN);
    telemetry.shutdown(TIMEOUT).unwrap();
    assert_eq!(pushed()["last"], "NaN");
    let pushes = collector.received.lock().unwrap().pushes.len();
    assert!(telemetry.flush(TIMEOUT).is_err(), "it is shut down");
    assert_eq!(collector.received.lock().unwrap().pushes.len(), pushes);
}
