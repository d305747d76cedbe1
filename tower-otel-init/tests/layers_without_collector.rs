//! Layers for the application's own subscriber, and a collector that is unreachable at first.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collector::{Behavior, Collector, until};
use tower_otel_init::{InitError, MetricsExporter, Sampler, Telemetry};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// A layer that collects the messages of warnings and errors.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        if *event.metadata().level() <= Level::WARN {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

impl Warnings {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

// This file has only one test, because a process has one subscriber.
#[test]
fn telemetry_starts_without_a_collector_warns_once_and_delivers_when_it_is_reachable() {
    let mut collector = Collector::grpc();
    collector.kill();

    let before = Instant::now();
    let (telemetry, layers) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .schedule_delay(Duration::from_millis(5))
        .layers()
        .unwrap();
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
    let warnings = Warnings::default();
    tracing_subscriber::registry()
        .with(layers)
        .with(warnings.clone())
        .init();

    let error = Telemetry::from_env("again").unwrap_err();
    assert!(matches!(error, InitError::AlreadyStarted), "{error}");

    // Several exports fail, and one warning is logged.
    for failed in 1..4 {
        tracing::info_span!("work").in_scope(|| {});
        until("a failed export", || {
            telemetry.dropped_spans().export_failed >= failed
        });
    }
    until("a warning", || !warnings.all().is_empty());
    let failing = warnings.all();
    assert_eq!(failing.len(), 1, "{failing:?}");
    assert!(
        failing
            .iter()
            .all(|text| text.contains(&collector.endpoint())),
        "{failing:?}"
    );

    collector.run(false, Behavior::Accepts);
    until("a span", || {
        tracing::info_span!("work").in_scope(|| {});
        collector.spans() > 0
    });
    until("the second warning", || warnings.all().len() > 1);
    let recovered = warnings.all();
    assert_eq!(recovered.len(), 2, "{recovered:?}");
    assert!(
        recovered.iter().any(|text| text.contains("again")),
        "{recovered:?}"
    );
    let _ = telemetry.shutdown(collector::TIMEOUT);
}
