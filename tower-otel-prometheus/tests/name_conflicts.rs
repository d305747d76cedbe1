//! A name that is used for two kinds of metrics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use metrics::with_local_recorder;
use tower_otel_prometheus::Prometheus;
use tracing::field::Field;
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// The texts of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        assert_eq!(*event.metadata().level(), tracing::Level::WARN);
        let mut text = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| {
            write!(text, "{field}={value:?} ").unwrap();
        });
        self.0.lock().unwrap().push(text);
    }
}

/// A kind of metric, and a use of the name for it.
type Use = (&'static str, fn());

const USES: [Use; 4] = [
    ("counter", || metrics::counter!("jobs.total").increment(1)),
    ("gauge", || metrics::gauge!("jobs_total").set(2)),
    ("histogram", || metrics::histogram!("jobs-total").record(3)),
    ("counter", || {
        metrics::counter!("jobs_total", "queue" => "mail").increment(4);
    }),
];

#[test]
fn the_first_kind_of_a_name_is_rendered_and_others_are_refused_with_one_warning() {
    for (kind, record_first) in USES {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        let warnings = Warnings::default();
        let subscriber = tracing_subscriber::registry().with(warnings.clone());
        let _subscriber = subscriber.set_default();
        with_local_recorder(&recorder, || {
            record_first();
            for _ in 0..3 {
                USES.iter().for_each(|(_, record)| record());
            }
        });
        let text = prometheus.render();
        let is_type = |line: &&str| line.starts_with("# TYPE");
        let types: Vec<_> = text.lines().filter(is_type).collect();
        assert_eq!(types, [format!("# TYPE jobs_total {kind}")], "{text}");
        let warnings = warnings.0.lock().unwrap();
        let [warning] = warnings.as_slice() else {
            panic!("one warning, not {warnings:#?}");
        };
        assert!(warning.contains("jobs_total"), "{warning}");
        assert!(warning.contains(kind), "{warning}");
    }
}

/// Returns the warnings and the rendered text of some uses of names.
fn warnings_of(uses: fn()) -> (Vec<String>, String) {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    let _subscriber = subscriber.set_default();
    with_local_recorder(&recorder, uses);
    let warnings = warnings.0.lock().unwrap().clone();
    (warnings, prometheus.render())
}

#[test]
fn a_name_of_a_series_of_a_histogram_is_refused() {
    let (warnings, text) = warnings_of(|| {
        metrics::histogram!("lag_seconds").record(1);
        metrics::gauge!("lag_seconds_count").set(7);
        metrics::counter!("lag_seconds_sum").increment(7);
        metrics::counter!("lag_seconds_sum").increment(7);
        metrics::gauge!("lag_seconds_max").set(9);
    });
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("lag_seconds_count"), "{warnings:#?}");
    assert_eq!(text.matches("\nlag_seconds_count ").count(), 1, "{text}");
    assert!(text.contains("\nlag_seconds_count 1\n"), "{text}");
    assert!(text.contains("\nlag_seconds_max 9\n"), "{text}");
}

#[test]
fn a_histogram_is_refused_if_the_name_of_its_series_is_used() {
    let (warnings, text) = warnings_of(|| {
        metrics::gauge!("lag_seconds_count").set(7);
        metrics::histogram!("lag_seconds").record(1);
        metrics::histogram!("lag_seconds").record(1);
    });
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("lag_seconds_count"), "{warnings:#?}");
    assert!(!text.contains("lag_seconds_bucket"), "{text}");
    assert!(text.contains("\nlag_seconds_count 7\n"), "{text}");
}
