//! Local telemetry installs nothing that is global.
#![cfg(all(feature = "grpc", feature = "prometheus"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use collector::{Collector, TIMEOUT};
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use tower_otel_init::{Layers, Prometheus, Sampler, Telemetry};
use tracing_subscriber::Registry;

#[test]
fn local_telemetry_does_not_write_to_the_recorder_of_the_process() {
    let prometheus = Prometheus::builder().install().unwrap();
    let collector = Collector::grpc();
    let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .sampler(Sampler::ratio(1.0))
        .local()
        .unwrap();
    telemetry
        .tracer_provider()
        .unwrap()
        .tracer("")
        .start("job")
        .end();
    telemetry.flush(TIMEOUT).unwrap();
    telemetry.shutdown(TIMEOUT).unwrap();
    assert_eq!(collector.spans(), 1);
    let metrics = prometheus.render();
    assert!(!metrics.contains("otel_sdk"), "{metrics}");
}
