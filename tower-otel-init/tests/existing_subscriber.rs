//! Where something is installed already.
#![allow(clippy::unwrap_used)]

use tower_otel_init::{InitError, MetricsExporter, Telemetry, TracesExporter};
use tracing_subscriber::util::SubscriberInitExt;

#[test]
fn a_subscriber_that_is_there_is_said_to_be_and_the_layers_can_still_be_had() {
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
    // Nothing was started, so this is the first time.
    let (telemetry, layers) = builder.layers::<tracing_subscriber::Registry>().unwrap();
    assert_eq!(layers.len(), 1);
    telemetry.shutdown(std::time::Duration::ZERO).unwrap();
}
