//! What holds in every order. Each runs inside of [`loom::model()`].

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
    histogram::AtomicHistogram,
    missing_context::MissingContextCheck,
    series::{Query, Series},
};

pub use crate::recorder::*;

/// All have one hash: whatever the seeds, they take the same walk, and each is in the way of the
/// others.
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

/// Two threads ask for a new series while a third one looks for it.
pub fn a_series_is_made_once_and_seen_whole() {
    let series = Arc::new(Series::new(2));
    let made = Arc::new(AtomicU32::new(0));
    let asks = || {
        let (series, made) = (Arc::clone(&series), Arc::clone(&made));
        move || {
            let value = series.get_or_insert_with(&Key(1), |_| {
                made.fetch_add(1, Relaxed);
                Box::new(41)
            });
            std::ptr::from_ref(value.unwrap()) as usize
        }
    };
    let (one, other) = (thread::spawn(asks()), thread::spawn(asks()));
    assert!(series.get(&Key(1)).is_none_or(|value| **value == 41));
    assert_eq!(one.join().unwrap(), other.join().unwrap());
    assert_eq!((made.load(Relaxed), series.len()), (1, 1));
}

/// Two threads ask for a series each, and there is room for one.
pub fn the_table_takes_exactly_as_many_as_it_has_room_for() {
    let series = Arc::new(Series::new(1));
    let asks = |key| {
        let series = Arc::clone(&series);
        move || series.get_or_insert_with(&Key(key), |key| *key).copied()
    };
    let (one, other) = (thread::spawn(asks(1)), thread::spawn(asks(2)));
    let kept = [one.join().unwrap(), other.join().unwrap()];
    let room = |key: u32| series.get(&Key(key)).copied();
    assert_eq!(
        kept,
        [room(1), room(2)],
        "who was told of a series finds it"
    );
    assert_eq!(kept.iter().flatten().count(), 1);
    assert_eq!(series.len(), 1);
}

/// Two threads are refused.
pub fn one_of_them_is_told_to_warn() {
    let series = Arc::new(Series::<u32, ()>::new(0));
    let refused = || {
        let series = Arc::clone(&series);
        thread::spawn(move || u32::from(series.first_refusal()))
    };
    let (one, other) = (refused(), refused());
    assert_eq!(one.join().unwrap() + other.join().unwrap(), 1);
}

/// Two threads record while somebody scrapes.
pub fn a_histogram_loses_no_sample_and_its_buckets_never_descend() {
    let histogram = Arc::new(AtomicHistogram::new(Arc::new([1.0]), true));
    let records = || {
        let histogram = Arc::clone(&histogram);
        thread::spawn(move || histogram.record(0.5))
    };
    // The same word of everything.
    let (one, other) = (records(), records());
    let scraped: Vec<_> = histogram.cumulative().collect();
    assert!(scraped.is_sorted() && scraped[1] <= 2, "{scraped:?}");
    one.join().unwrap();
    other.join().unwrap();
    assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(histogram.sum(), 1.0);
    assert_eq!(histogram.native().unwrap().total(), 2);
}

/// Two threads send a request without a context, and a span is current.
pub fn a_missing_context_is_warned_about_once() {
    let warnings = Arc::new(AtomicU32::new(0));
    let ours = filter_fn(|metadata| metadata.target().starts_with("loom_models"));
    let told = Warnings(Arc::clone(&warnings)).with_filter(ours);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(told), || {
        let check = Arc::new(MissingContextCheck::new());
        // Without a span nothing is logged.
        check.check(&Context::new());
        // loom's threads are all this one, so it is current for all of them.
        let _span = tracing::info_span!("client").entered();
        let checks = || {
            let check = Arc::clone(&check);
            thread::spawn(move || check.check(&Context::new()))
        };
        let (one, other) = (checks(), checks());
        one.join().unwrap();
        other.join().unwrap();
        check.check(&Context::new());
    });
    assert_eq!(warnings.load(Relaxed), 1);
}

/// Counts warnings.
struct Warnings(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            self.0.fetch_add(1, Relaxed);
        }
    }
}
