//! Models of the series table, the histogram and the warning. Each runs in [`loom::model()`].

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use loom::thread;
use metrics::{CounterFn, GaugeFn, HistogramFn};
use opentelemetry::Context;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::{self, SubscriberExt},
};

use crate::{
    cells::CellAllocator,
    counter::AtomicCounter,
    exemplar::{Exemplar, ExportedSpan},
    gauge::AtomicGauge,
    handle_cache::{EntryShare, HandleCache, Query},
    histogram::AtomicHistogram,
    missing_context::MissingContextCheck,
};

pub use crate::{keep::models::*, recorder::*};

/// A key with a constant hash, so that all keys collide with every seed.
struct Key(u32);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(7);
    }
}

impl Query for Key {
    type Key = u32;

    fn matches(&self, key: &u32) -> bool {
        self.0 == *key
    }

    fn to_key(&self) -> u32 {
        self.0
    }
}

/// Two threads insert the same new key while a third one looks it up.
pub fn a_value_is_made_once_and_seen_complete() {
    let cache = Arc::new(HandleCache::new(2));
    let made = Arc::new(AtomicU32::new(0));
    let insert = || {
        let (cache, made) = (Arc::clone(&cache), Arc::clone(&made));
        move || {
            let value = cache.get_or_insert_with(&Key(1), |_| {
                made.fetch_add(1, Relaxed);
                Box::new(41)
            });
            std::ptr::from_ref(value.unwrap()) as usize
        }
    };
    let (one, other) = (thread::spawn(insert()), thread::spawn(insert()));
    assert!(cache.get(&Key(1)).is_none_or(|value| **value == 41));
    assert_eq!(one.join().unwrap(), other.join().unwrap());
    assert_eq!((made.load(Relaxed), cache.len()), (1, 1));
}

/// Two threads insert different keys into a cache of one entry.
pub fn the_cache_takes_exactly_its_limit() {
    let cache = Arc::new(HandleCache::new(1));
    let insert = |key| {
        let cache = Arc::clone(&cache);
        move || cache.get_or_insert_with(&Key(key), |key| *key).copied()
    };
    let (one, other) = (thread::spawn(insert(1)), thread::spawn(insert(2)));
    let inserted = [one.join().unwrap(), other.join().unwrap()];
    let found = |key: u32| cache.get(&Key(key)).copied();
    assert_eq!(inserted, [found(1), found(2)], "an inserted key is found");
    assert_eq!(inserted.iter().flatten().count(), 1);
    assert_eq!(cache.len(), 1);
}

/// Two threads insert the same new key into a share of two entries.
pub fn a_key_that_two_threads_insert_counts_once_in_its_share() {
    let cache = Arc::new(HandleCache::<u32, ()>::new(4));
    let share = Arc::new(EntryShare::up_to(2));
    let insert = || {
        let (cache, share) = (Arc::clone(&cache), Arc::clone(&share));
        move || cache.find_or_insert_in(&Key(1), Some(&share)).is_some()
    };
    let (one, other) = (thread::spawn(insert()), thread::spawn(insert()));
    assert!(one.join().unwrap() && other.join().unwrap());
    let inserts = |key| cache.find_or_insert_in(&Key(key), Some(&share)).is_some();
    assert_eq!([inserts(2), inserts(3)], [true, false]);
}

/// Two threads insert into a full cache.
pub fn the_overflow_warning_is_logged_once() {
    let cache = Arc::new(HandleCache::<u32, ()>::new(0));
    let overflows = || {
        let cache = Arc::clone(&cache);
        thread::spawn(move || u32::from(cache.first_overflow()))
    };
    let (one, other) = (overflows(), overflows());
    assert_eq!(one.join().unwrap() + other.join().unwrap(), 1);
}

/// Two threads record during a scrape.
pub fn a_histogram_loses_no_sample_and_its_buckets_are_cumulative() {
    let cells = CellAllocator::default();
    let histogram = Arc::new(AtomicHistogram::new(Arc::new([1.0]), true, None, &cells));
    let record = || {
        let histogram = Arc::clone(&histogram);
        thread::spawn(move || histogram.record(0.5))
    };
    // Both change the same words.
    let (one, other) = (record(), record());
    let scraped: Vec<_> = histogram.cumulative().collect();
    assert!(scraped.is_sorted() && scraped[1] <= 2, "{scraped:?}");
    one.join().unwrap();
    other.join().unwrap();
    assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(histogram.sum(), 1.0);
    assert_eq!(histogram.native().unwrap().total(), 2);
}

// loom compares a store with the last access of the atomic only. If a thread loads a value and then stores it, loom misses the
// orders in which another thread has loaded it before. So the models below start the thread that scrapes last.

/// A thread records twice during a scrape.
pub fn a_scrape_contains_the_samples_before_the_last_one() {
    let cells = CellAllocator::default();
    let histogram = Arc::new(AtomicHistogram::new(Arc::new([1.0]), false, None, &cells));
    let recording = Arc::clone(&histogram);
    let record = thread::spawn(move || {
        recording.record(2.0);
        recording.record(0.5);
    });
    let scraping = Arc::clone(&histogram);
    let scrape = thread::spawn(move || scraping.cumulative().collect::<Vec<_>>());
    record.join().unwrap();
    let scraped = scrape.join().unwrap();
    // The lower bucket, which has the later sample, is read first.
    assert!(
        [[0, 0], [0, 1], [1, 2]].contains(&[scraped[0], scraped[1]]),
        "{scraped:?}"
    );
    assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(histogram.sum(), 2.5);
}

/// A thread increments and ends, and another one may continue with its cells, while a third one scrapes twice.
pub fn a_counter_loses_no_increment_when_threads_end() {
    let counter = Arc::new(AtomicCounter::new(&CellAllocator::default()));
    let increment = |amount| {
        let counter = Arc::clone(&counter);
        thread::spawn(move || counter.increment(amount))
    };
    let (one, other) = (increment(1), increment(2));
    let scraping = Arc::clone(&counter);
    let scrape = thread::spawn(move || [scraping.value(), scraping.value()]);
    one.join().unwrap();
    other.join().unwrap();
    let scraped = scrape.join().unwrap();
    assert!(scraped.is_sorted() && scraped[1] <= 3, "{scraped:?}");
    assert_eq!(counter.value(), 3);
}

/// Three threads increment, and only one has cells of its own.
pub fn threads_without_cells_lose_no_increment() {
    let counter = Arc::new(AtomicCounter::new(&CellAllocator::with_chunks(1)));
    counter.increment(1);
    let increment = || {
        let counter = Arc::clone(&counter);
        thread::spawn(move || counter.increment(1))
    };
    let (one, other) = (increment(), increment());
    one.join().unwrap();
    other.join().unwrap();
    assert_eq!(counter.value(), 3);
}

/// A thread increments and another one sets the counter to an absolute value during a scrape.
pub fn an_absolute_value_is_before_or_after_a_concurrent_increment() {
    let counter = Arc::new(AtomicCounter::new(&CellAllocator::default()));
    counter.increment(1);
    let start = |run: fn(&AtomicCounter)| {
        let counter = Arc::clone(&counter);
        thread::spawn(move || run(&counter))
    };
    let threads = [
        start(|counter| counter.increment(1)),
        start(|counter| counter.absolute(10)),
        start(|counter| assert!([1, 2, 10, 11].contains(&counter.value()))),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    assert!([10, 11].contains(&counter.value()));
}

/// A request starts on one thread and ends on another one during a scrape.
pub fn a_gauge_is_not_negative_when_a_request_changes_its_thread() {
    let gauge = Arc::new(AtomicGauge::new(&CellAllocator::default()));
    let (send, receive) = loom::sync::mpsc::channel();
    let starting = Arc::clone(&gauge);
    let start = thread::spawn(move || {
        starting.increment(1.0);
        send.send(()).unwrap();
    });
    let ending = Arc::clone(&gauge);
    let end = thread::spawn(move || {
        receive.recv().unwrap();
        ending.decrement(1.0);
    });
    let scraping = Arc::clone(&gauge);
    let scrape = thread::spawn(move || scraping.value());
    start.join().unwrap();
    end.join().unwrap();
    let scraped = scrape.join().unwrap();
    assert!([0.0, 1.0].contains(&scraped), "{scraped}");
    assert_eq!(gauge.value(), 0.0);
}

/// A thread serves two requests, one after the other, during a scrape.
pub fn a_gauge_counts_no_more_requests_than_were_in_flight_at_once() {
    let gauge = Arc::new(AtomicGauge::new(&CellAllocator::default()));
    let serving = Arc::clone(&gauge);
    let serve = thread::spawn(move || {
        for _ in 0..2 {
            serving.increment(1.0);
            serving.decrement(1.0);
        }
    });
    let scraping = Arc::clone(&gauge);
    let scrape = thread::spawn(move || scraping.value());
    serve.join().unwrap();
    let scraped = scrape.join().unwrap();
    assert!([0.0, 1.0].contains(&scraped), "{scraped}");
}

/// A thread increments and another one sets the gauge during a scrape.
pub fn a_gauge_is_set_before_or_after_a_concurrent_change() {
    let gauge = Arc::new(AtomicGauge::new(&CellAllocator::default()));
    gauge.increment(1.0);
    let start = |run: fn(&AtomicGauge)| {
        let gauge = Arc::clone(&gauge);
        thread::spawn(move || run(&gauge))
    };
    let threads = [
        start(|gauge| gauge.increment(1.0)),
        start(|gauge| gauge.set(5.0)),
        start(|gauge| assert!([1.0, 2.0, 5.0, 6.0].contains(&gauge.value()))),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    assert!([5.0, 6.0].contains(&gauge.value()));
}

/// A thread records during a scrape, each sample in another span.
pub fn an_exemplar_is_whole_and_the_slot_is_due_again_after_a_scrape() {
    fn span() -> Option<ExportedSpan> {
        NEXT_SPAN.with(|next| {
            let id = next.get();
            next.set(id + 1);
            Some(ExportedSpan {
                trace_id: [id; 16],
                span_id: [id; 8],
            })
        })
    }
    // loom runs all threads of a model on this thread.
    NEXT_SPAN.with(|next| next.set(1));
    let histogram = AtomicHistogram::new(
        Arc::new([1.0]),
        false,
        Some(span),
        &CellAllocator::default(),
    );
    let histogram = Arc::new(histogram);
    let is_whole = |exemplar: &Exemplar| {
        let ExportedSpan { trace_id, span_id } = exemplar.span;
        trace_id.iter().chain(&span_id).all(|id| *id == span_id[0])
    };
    histogram.record(0.125);
    assert_eq!(histogram.exemplar(0).unwrap().value, 0.125);
    let recording = Arc::clone(&histogram);
    let recorder = thread::spawn(move || {
        recording.record(0.25);
        recording.record(0.5);
    });
    let scraped = histogram.exemplar(0);
    assert!(scraped.as_ref().is_none_or(is_whole));
    recorder.join().unwrap();
    histogram.record(0.75);
    let last = histogram.exemplar(0).unwrap();
    assert!(is_whole(&last));
    // A sample that the scrape has read is replaced by the next one.
    assert!(scraped.is_none_or(|scraped| scraped.value != last.value));
}

std::thread_local! {
    static NEXT_SPAN: std::cell::Cell<u8> = const { std::cell::Cell::new(1) };
}

/// Two threads send a request without a context, and a span is current.
pub fn a_missing_context_is_warned_about_once() {
    let warnings = Arc::new(AtomicU32::new(0));
    let ours = filter_fn(|metadata| metadata.target().starts_with("loom_models"));
    let counting = Warnings(Arc::clone(&warnings)).with_filter(ours);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(counting), || {
        let check = Arc::new(MissingContextCheck::new());
        // Without a span nothing is logged.
        check.check(&Context::new());
        // loom runs all threads of a model on this thread, so the span is current for all of them.
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

/// A layer that counts warnings.
struct Warnings(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            self.0.fetch_add(1, Relaxed);
        }
    }
}
