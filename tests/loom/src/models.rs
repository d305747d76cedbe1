//! Models of the series table, the histogram and the warning. Each runs in [`loom::model()`].

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use loom::thread;
use metrics::HistogramFn;
use opentelemetry::Context;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::{self, SubscriberExt},
};

use crate::{
    detect::Detection,
    histogram::AtomicHistogram,
    series::{Query, Series},
};

pub use crate::recorder::*;

/// A key with a constant hash, so that all keys collide with every seed.
struct Key(u32);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(7);
    }
}

impl Query for Key {
    type Key = u32;

    fn is(&self, key: &u32) -> bool {
        self.0 == *key
    }

    fn to_key(&self) -> u32 {
        self.0
    }
}

/// Two threads insert the same series while a third one looks it up.
pub fn a_series_is_created_once_and_read_fully_initialized() {
    let series = Arc::new(Series::new(2));
    let created = Arc::new(AtomicU32::new(0));
    let insert = || {
        let (series, created) = (Arc::clone(&series), Arc::clone(&created));
        move || {
            let value = series.get_or_insert_with(&Key(1), |_| {
                created.fetch_add(1, Relaxed);
                Box::new(41)
            });
            std::ptr::from_ref(value.unwrap()) as usize
        }
    };
    let (one, other) = (thread::spawn(insert()), thread::spawn(insert()));
    assert!(series.get(&Key(1)).is_none_or(|value| **value == 41));
    assert_eq!(one.join().unwrap(), other.join().unwrap());
    assert_eq!((created.load(Relaxed), series.len()), (1, 1));
}

/// Two threads insert a series each, and the limit is one.
pub fn the_table_stores_as_many_series_as_its_limit() {
    let series = Arc::new(Series::new(1));
    let insert = |key| {
        let series = Arc::clone(&series);
        move || series.get_or_insert_with(&Key(key), |key| *key).copied()
    };
    let (one, other) = (thread::spawn(insert(1)), thread::spawn(insert(2)));
    let inserted = [one.join().unwrap(), other.join().unwrap()];
    let found = |key: u32| series.get(&Key(key)).copied();
    assert_eq!(
        inserted,
        [found(1), found(2)],
        "an inserted series is found"
    );
    assert_eq!(inserted.iter().flatten().count(), 1);
    assert_eq!(series.len(), 1);
}

/// Two threads insert a series, and the limit is zero.
pub fn the_overflow_is_reported_once() {
    let series = Arc::new(Series::<u32, ()>::new(0));
    let refused = || {
        let series = Arc::clone(&series);
        thread::spawn(move || u32::from(series.first_refusal()))
    };
    let (one, other) = (refused(), refused());
    assert_eq!(one.join().unwrap() + other.join().unwrap(), 1);
}

/// Two threads record a sample during a scrape.
pub fn a_histogram_loses_no_sample_and_its_buckets_are_cumulative() {
    let histogram = Arc::new(AtomicHistogram::new(Arc::new([1.0]), true));
    let record = || {
        let histogram = Arc::clone(&histogram);
        thread::spawn(move || histogram.record(0.5))
    };
    // Both threads write the same atomics.
    let (one, other) = (record(), record());
    let scraped: Vec<_> = histogram.cumulative().collect();
    assert!(scraped.is_sorted() && scraped[1] <= 2, "{scraped:?}");
    one.join().unwrap();
    other.join().unwrap();
    assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(histogram.sum(), 1.0);
    assert_eq!(histogram.native().unwrap().total(), 2);
}

/// Two threads send a request without a context while a span is current.
pub fn a_missing_context_is_logged_once() {
    let warnings = Arc::new(AtomicU32::new(0));
    let own_target = filter_fn(|metadata| metadata.target().starts_with("loom_models"));
    let layer = Warnings(Arc::clone(&warnings)).with_filter(own_target);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let detection = Arc::new(Detection::new());
        // Without a current span nothing is missing.
        detection.look(&Context::new());
        // loom runs all threads on this one, so the span is current in all of them.
        let _span = tracing::info_span!("client").entered();
        let check = || {
            let detection = Arc::clone(&detection);
            thread::spawn(move || detection.look(&Context::new()))
        };
        let (one, other) = (check(), check());
        one.join().unwrap();
        other.join().unwrap();
        detection.look(&Context::new());
    });
    assert_eq!(warnings.load(Relaxed), 1);
}

/// A layer that counts warnings.
struct Warnings(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            self.0.fetch_add(1, Relaxed);
        }
    }
}
