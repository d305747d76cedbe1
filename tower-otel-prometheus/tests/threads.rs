//! Values that several threads record are added up by a scrape.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    cell::RefCell,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use metrics::{Counter, Gauge, Histogram, Recorder, with_local_recorder};
use tower_otel_prometheus::Prometheus;

#[derive(Clone)]
struct Handles {
    counter: Counter,
    gauge: Gauge,
    histogram: Histogram,
}

impl Handles {
    fn new(recorder: &impl Recorder) -> Self {
        with_local_recorder(recorder, || Self {
            counter: metrics::counter!("a_total"),
            gauge: metrics::gauge!("a_in_flight"),
            histogram: metrics::histogram!("a_seconds"),
        })
    }

    fn record(&self) {
        self.counter.increment(1);
        self.gauge.increment(2);
        self.gauge.decrement(1);
        self.histogram.record(0.25);
    }
}

fn value(prometheus: &Prometheus, series: &str) -> f64 {
    let text = prometheus.render();
    let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let line = lines.find(|(name, _)| *name == series);
    let (_, value) = line.unwrap_or_else(|| panic!("{series} in {text}"));
    value.parse().unwrap()
}

/// Asserts that [`Handles::record`] was called this many times.
fn assert_recorded(prometheus: &Prometheus, times: u32) {
    let times = f64::from(times);
    for (series, expected) in [
        ("a_total", times),
        ("a_in_flight", times),
        ("a_seconds_bucket{le=\"0.1\"}", 0.0),
        ("a_seconds_bucket{le=\"0.25\"}", times),
        ("a_seconds_count", times),
        ("a_seconds_sum", times / 4.0),
    ] {
        assert_eq!(value(prometheus, series), expected, "{series}");
    }
}

#[test]
fn nothing_is_lost_when_threads_end_and_others_replace_them() {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let handles = Handles::new(&recorder);
    let recording = AtomicBool::new(true);
    thread::scope(|scope| {
        let scrapes = scope.spawn(|| {
            let mut last = 0.0;
            while recording.load(Relaxed) {
                let count = value(&prometheus, "a_total");
                assert!(count >= last, "{count} < {last}");
                last = count;
            }
        });
        let starters: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let handles = handles.clone();
                        let record = move || (0..50).for_each(|_| handles.record());
                        thread::spawn(record).join().unwrap();
                    }
                })
            })
            .collect();
        starters.into_iter().for_each(|done| done.join().unwrap());
        recording.store(false, Relaxed);
        scrapes.join().unwrap();
    });
    assert_recorded(&prometheus, 4 * 100 * 50);
}

#[test]
fn more_threads_than_have_cells_of_their_own_lose_nothing() {
    const THREADS: u32 = 300;
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let handles = Handles::new(&recorder);
    let barrier = Barrier::new(300);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                handles.record();
                barrier.wait();
                (0..100).for_each(|_| handles.record());
            });
        }
    });
    assert_recorded(&prometheus, THREADS * 101);
}

#[test]
fn recorders_that_threads_use_alternately_stay_separate() {
    let (first, first_prometheus) = Prometheus::builder().build().unwrap();
    let (second, second_prometheus) = Prometheus::builder().build().unwrap();
    let (one, other) = (Handles::new(&first), Handles::new(&second));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    one.record();
                    other.record();
                    other.record();
                }
            });
        }
    });
    assert_recorded(&first_prometheus, 4 * 500);
    assert_recorded(&second_prometheus, 4 * 1000);
}

#[test]
fn values_that_the_destructor_of_a_thread_local_records_are_counted() {
    struct RecordsAtExit(Option<Handles>);

    impl Drop for RecordsAtExit {
        fn drop(&mut self) {
            if let Some(handles) = &self.0 {
                handles.record();
            }
        }
    }

    thread_local! {
        static BEFORE: RefCell<RecordsAtExit> = const { RefCell::new(RecordsAtExit(None)) };
        static AFTER: RefCell<RecordsAtExit> = const { RefCell::new(RecordsAtExit(None)) };
    }

    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let handles = Handles::new(&recorder);
    let run = |records: bool| {
        let handles = handles.clone();
        let thread = thread::spawn(move || {
            BEFORE.with_borrow_mut(|exit| exit.0 = Some(handles.clone()));
            if records {
                handles.record();
            }
            AFTER.with_borrow_mut(|exit| exit.0 = Some(handles));
        });
        thread.join().unwrap();
    };
    run(true);
    run(false);
    assert_recorded(&prometheus, 5);
}

#[test]
fn a_gauge_is_never_negative_while_requests_move_between_threads() {
    const IN_FLIGHT: usize = 4;
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let gauge = Handles::new(&recorder).gauge;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (send, receive) = mpsc::sync_channel::<()>(IN_FLIGHT - 2);
                let start = scope.spawn(|| {
                    let send = send;
                    for _ in 0..50_000 {
                        gauge.increment(1);
                        send.send(()).unwrap();
                    }
                });
                let end = scope.spawn(|| receive.into_iter().for_each(|()| gauge.decrement(1)));
                [start, end]
            })
            .collect();
        while workers.iter().flatten().any(|worker| !worker.is_finished()) {
            let value = value(&prometheus, "a_in_flight");
            assert!(value >= 0.0, "{value}");
        }
    });
    assert_eq!(value(&prometheus, "a_in_flight"), 0.0);
}

#[test]
fn a_gauge_has_the_value_that_is_set_and_later_changes() {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let gauge = Handles::new(&recorder).gauge;
    let is = |expected: f64| assert_eq!(value(&prometheus, "a_in_flight"), expected);
    let on_threads = |change: &(dyn Fn() + Sync)| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(change);
            }
        });
    };
    gauge.set(0.1);
    is(0.1);
    on_threads(&|| gauge.increment(1));
    is(4.1);
    gauge.set(7);
    is(7.0);
    on_threads(&|| gauge.decrement(3));
    is(-5.0);
    on_threads(&|| gauge.increment(0.5));
    is(-3.0);
    gauge.set(f64::INFINITY);
    gauge.set(2.5);
    is(2.5);
    on_threads(&|| gauge.increment(f64::from(u32::MAX)));
    gauge.decrement(f64::from(u32::MAX) + 1.0);
    gauge.decrement(-1.0);
    is(3.0 * f64::from(u32::MAX) + 2.5);
}

#[test]
fn an_absolute_value_raises_a_counter_that_threads_have_incremented_and_never_lowers_it() {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let counter = Handles::new(&recorder).counter;
    let increment = || {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| counter.increment(5));
            }
        });
    };
    let mut values = Vec::new();
    for absolute in [10, 20, 100, 30, 100, 130] {
        increment();
        counter.absolute(absolute);
        values.push(value(&prometheus, "a_total"));
    }
    assert_eq!(values, [20.0, 40.0, 100.0, 120.0, 140.0, 160.0]);
    counter.absolute(1_000);
    assert_eq!(value(&prometheus, "a_total"), 1_000.0);
}

#[test]
fn two_scrapes_without_a_sample_in_between_are_equal() {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let histogram = Handles::new(&recorder).histogram;
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for thread in 1..=8 {
            let (histogram, barrier) = (&histogram, &barrier);
            scope.spawn(move || {
                histogram.record(f64::from(thread) * 0.1);
                // All threads have cells of their own.
                barrier.wait();
                histogram.record(f64::from(thread).exp() / 3.0);
            });
        }
    });
    assert_eq!(prometheus.render(), prometheus.render());
}

#[test]
fn a_histogram_with_many_boundaries_loses_nothing() {
    let boundaries = (1..=2_000).map(f64::from);
    let (recorder, prometheus) = Prometheus::builder()
        .buckets("a_seconds", boundaries)
        .build()
        .unwrap();
    let histogram = Handles::new(&recorder).histogram;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (1..=2_001).for_each(|n| histogram.record(n)));
        }
    });
    for bound in [1, 2, 509, 510, 511, 512, 513, 1_024, 2_000] {
        let series = format!("a_seconds_bucket{{le=\"{bound}\"}}");
        assert_eq!(value(&prometheus, &series), 4.0 * f64::from(bound));
    }
    assert_eq!(value(&prometheus, "a_seconds_count"), 4.0 * 2_001.0);
    let sum = 4.0 * 2_001.0 * 1_001.0;
    assert_eq!(value(&prometheus, "a_seconds_sum"), sum);
}
