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
    if std::env::var_os("WITHOUT_SUBSCRIBER").is_none() {
        return;
    }
    let builder = Telemetry::builder("users")
        .endpoint("http://localhost:4318")
        .metrics(MetricsExporter::None);
    let (telemetry, _layers) = builder.layers::<Registry>().unwrap();
    telemetry.shutdown(std::time::Duration::ZERO).unwrap();
}

#[test]
fn warnings_are_written_to_the_standard_error_if_there_is_no_subscriber_yet() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["service", "--exact", "--ignored", "--nocapture", "-q"])
        .env("WITHOUT_SUBSCRIBER", "1")
        .env("OTEL_TRACES_SAMPLER", "sometimes")
        .output()
        .unwrap();
    let errors = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success(), "{errors}");
    for expected in [
        "tower-otel-init: OTEL_TRACES_SAMPLER: \"sometimes\" is not a sampler",
        "tower-otel-init: the endpoint http://localhost:4318 has the usual port of the protocol http/protobuf",
    ] {
        assert!(errors.contains(expected), "{errors}");
    }
}
