//! Telemetry that starts before the application installs its subscriber.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used)]

use std::process::Command;

use tower_otel_init::{MetricsExporter, Telemetry};
use tracing_subscriber::Registry;

/// Starts telemetry in a process without a subscriber.
#[test]
#[ignore = "runs in a process started by the other test"]
fn service() {
    let metrics = match std::env::var("WITHOUT_SUBSCRIBER").as_deref() {
        Ok("none") => MetricsExporter::None,
        Ok("otlp") => MetricsExporter::Otlp,
        _ => return,
    };
    let builder = Telemetry::builder("users")
        .endpoint("http://localhost:4318")
        .metrics(metrics);
    let (telemetry, _layers) = builder.layers::<Registry>().unwrap();
    telemetry.shutdown(std::time::Duration::ZERO).unwrap();
}

#[test]
fn warnings_are_written_to_the_standard_error_if_there_is_no_subscriber_yet() {
    // An exporter of metrics is built while a temporary subscriber is set.
    for metrics in ["none", "otlp"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["service", "--exact", "--ignored", "--nocapture", "-q"])
            .env("WITHOUT_SUBSCRIBER", metrics)
            .env("OTEL_TRACES_SAMPLER", "sometimes")
            .output()
            .unwrap();
        let errors = String::from_utf8(child.stderr).unwrap();
        assert!(child.status.success(), "{metrics}: {errors}");
        for expected in [
            "tower-otel-init: OTEL_TRACES_SAMPLER: \"sometimes\" is not a sampler",
            "tower-otel-init: the endpoint http://localhost:4318 has the usual port of the protocol http/protobuf",
        ] {
            assert!(errors.contains(expected), "{metrics}: {errors}");
        }
    }
}
