//! A process that already has a `tracing` subscriber.
#![allow(clippy::unwrap_used)]

use tower_otel_init::{InitError, MetricsExporter, Telemetry, TracesExporter};
use tracing_subscriber::util::SubscriberInitExt;

#[test]
fn install_fails_if_a_subscriber_exists_and_layers_can_be_added_to_it() {
    tracing_subscriber::registry().init();
    let builder = Telemetry::builder("users")
        .traces(TracesExporter::Console)
        .metrics(MetricsExporter::None);
    let error = builder.clone().install().unwrap_err();
    assert!(matches!(error, InitError::SubscriberInstalled), "{error}");
    assert!(
        error.to_string().contains("TelemetryBuilder::layers"),
        "{error}"
    );
    // The failed install has started no part of telemetry.
    let (telemetry, layers) = builder.layers::<tracing_subscriber::Registry>().unwrap();
    assert_eq!(layers.len(), 1);
    telemetry.shutdown(std::time::Duration::ZERO).unwrap();
}
