//! Requests, errors and durations in counts of one thread, which would be summed when they are scraped.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Method;

use crate::recorded_counts;

const BOUNDS_NANOS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// The counts of one series, written by one thread.
#[derive(Debug, Default)]
pub struct Counts {
    started: AtomicU64,
    ended: AtomicU64,
    /// The first outcome, which is that of most exchanges.
    common_outcome: AtomicU64,
    buckets: [AtomicU64; BOUNDS_NANOS.len() + 1],
    sum: AtomicU64,
    other_outcomes: AtomicU64,
}

/// All counts of all threads.
static COUNTS: Mutex<Vec<Arc<Counts>>> = Mutex::new(Vec::new());

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The body has ended.
    Complete,
    /// The service or the body has failed.
    Failed,
    /// The future or the body was dropped before its end.
    Cancelled,
    /// Foreign code has panicked.
    Panicked,
}

fn add(to: &AtomicU64, count: u64) {
    to.store(to.load(Relaxed).wrapping_add(count), Relaxed);
}

impl Counts {
    /// Counts the start of an exchange.
    pub fn started(&self) {
        add(&self.started, 1);
    }

    /// Counts the end of an exchange.
    pub fn ended(&self, status: u16, outcome: Outcome, duration: Duration) {
        add(&self.ended, 1);
        let outcome = u64::from(status) | (outcome as u64) << 16 | 1 << 32;
        let common = self.common_outcome.load(Relaxed);
        if common == 0 {
            self.common_outcome.store(outcome, Relaxed);
        }
        if common == 0 || common == outcome {
            let nanos = duration.as_nanos() as u64;
            let bucket = BOUNDS_NANOS.iter().position(|bound| nanos <= *bound);
            add(&self.buckets[bucket.unwrap_or(BOUNDS_NANOS.len())], 1);
            add(&self.sum, nanos);
        } else {
            self.other_outcome();
        }
    }

    #[cold]
    fn other_outcome(&self) {
        add(&self.other_outcomes, 1);
    }
}

/// Lets the samples be counted, to check that every exchange is.
pub fn count_samples() {
    recorded_counts::set_sample_counter(|| {
        let counts = COUNTS.lock().unwrap();
        let ended = counts.iter().map(|counts| counts.ended.load(Relaxed));
        ended.sum()
    });
}

/// The series that a thread has seen.
#[derive(Debug, Default)]
pub struct SeriesOfThread(Vec<Series>);

#[derive(Debug)]
struct Series {
    route: Box<str>,
    /// The address of the router's own text.
    address: usize,
    method: Method,
    name: &'static str,
    counts: Arc<Counts>,
}

impl SeriesOfThread {
    /// Returns the index of a series, by the address of the route and a comparison.
    pub fn find(&mut self, method: &Method, route: &str) -> usize {
        let address = route.as_ptr() as usize;
        let is_same = |series: &Series| {
            series.address == address && *series.route == *route && series.method == *method
        };
        match self.0.iter().position(is_same) {
            Some(index) => index,
            None => self.add(method, route),
        }
    }

    #[cold]
    fn add(&mut self, method: &Method, route: &str) -> usize {
        let counts = Arc::<Counts>::default();
        COUNTS.lock().unwrap().push(Arc::clone(&counts));
        self.0.push(Series {
            route: route.into(),
            address: route.as_ptr() as usize,
            method: method.clone(),
            name: format!("{method} {route}").leak(),
            counts,
        });
        self.0.len() - 1
    }

    /// Returns the name of the spans of a series.
    pub fn name(&self, index: usize) -> &'static str {
        self.0[index].name
    }

    /// Returns the counts of a series.
    pub fn counts(&self, index: usize) -> &Counts {
        &self.0[index].counts
    }
}
