//! A panic of the subscriber does not end the pushes.

use collector::faulty::{FaultyCollector, Reply};
use tower_otel_init::Telemetry;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::service::{SHUTDOWN, between, run_test};

/// A layer of the application that fails.
struct PanicsOnWarnings;

impl<S: Subscriber> Layer<S> for PanicsOnWarnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        assert!(*event.metadata().level() != Level::WARN, "a layer fails");
    }
}

/// A process with a layer that fails.
#[test]
#[ignore = "runs in a process started by the other tests"]
fn job_with_a_layer_that_panics() {
    if std::env::var("METRICS_SERVICE").is_err() {
        return;
    }
    let (telemetry, layers) = Telemetry::builder("job").layers().unwrap();
    tracing_subscriber::registry()
        .with(layers)
        .with(PanicsOnWarnings)
        .init();
    metrics::counter!("jobs_total").increment(1);
    println!("<refused>{:?}</refused>", telemetry.flush(SHUTDOWN));
    println!("<accepted>{:?}</accepted>", telemetry.flush(SHUTDOWN));
    println!("<end>{:?}</end>", telemetry.shutdown(SHUTDOWN));
}

#[test]
fn metrics_are_pushed_further_after_a_subscriber_panicked() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = FaultyCollector::start(|request| match request {
            0 => Reply::Refuse("no".to_owned()),
            _ => Reply::Accept,
        });
        let output = run_test(
            "subscriber_panics::job_with_a_layer_that_panics",
            &[
                (
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    &format!("http://{}", collector.address),
                ),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_TRACES_EXPORTER", "none"),
            ],
        );
        assert!(between(&output, "refused").contains("Err"), "{output}");
        assert_eq!(between(&output, "accepted"), "Ok(())", "{output}");
        assert_eq!(between(&output, "end"), "Ok(())", "{output}");
        assert_eq!(collector.seen().requests, 3, "{output}");
    }
}
