//! A process that already has a recorder of the `metrics` facade.
#![cfg(feature = "prometheus")]
#![allow(clippy::unwrap_used)]

use tower_otel_init::{InitError, MetricsExporter, Prometheus, Telemetry, TracesExporter};
use tracing_subscriber::Registry;

#[test]
fn a_second_recorder_is_an_error_that_says_what_to_use_instead() {
    let first = Prometheus::builder().install().unwrap();
    let builder = Telemetry::builder("users").traces(TracesExporter::None);
    let error = builder.clone().install().unwrap_err();
    assert!(matches!(error, InitError::Recorder(_)), "{error}");
    let second = Prometheus::builder().install().unwrap_err().to_string();
    for expected in ["already installed", "`Telemetry::prometheus`"] {
        assert!(second.contains(expected), "{second}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(
        error.to_string().contains("METRICS_ENABLED=false"),
        "{error}"
    );
    // After the failed start, no part of telemetry is installed. An exporter of metrics is built while a temporary subscriber
    // is set.
    #[cfg(feature = "grpc")]
    for _ in 0..2 {
        let both = builder.clone().metrics(MetricsExporter::Prometheus);
        let error = both.metrics(MetricsExporter::Otlp).install().unwrap_err();
        assert!(matches!(error, InitError::Recorder(_)), "{error}");
    }
    let builder = builder.metrics(MetricsExporter::None);
    let (telemetry, _layers) = builder.layers::<Registry>().unwrap();
    assert!(telemetry.prometheus().is_none());
    drop(first);
    telemetry.shutdown(std::time::Duration::ZERO).unwrap();
}
