//! A histogram of fixed buckets that loses nothing.

use std::sync::Arc;

use metrics::HistogramFn;

use crate::native::{Counted, Native};
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts every sample in exactly one bucket, at once and without a lock.
///
/// Its memory is what [`with`](Self::with) allocates: eight bytes for each bucket and for the sum,
/// the boundaries shared by all series of the name. Recording changes these words in place, so
/// the millionth sample takes no more room than the first, whether anybody scrapes or not.
///
/// The order `Relaxed` is enough. No read-modify-write of an atomic is ever lost, whatever its
/// order; the words promise nothing about one another; and who has seen a thread end sees all it
/// has recorded.
///
/// What is no number cannot be compared with a boundary and is dropped: it belongs in no bucket,
/// and once in the sum it would be all that the sum ever says. An infinity can be compared and is
/// counted, above or below all boundaries, but left out of the sum for the same reason.
pub(crate) struct AtomicHistogram {
    boundaries: Arc<[f64]>,
    /// One for each boundary, then one for what exceeds them all. Not cumulative.
    buckets: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
    native: Option<Native>,
}

impl AtomicHistogram {
    /// `boundaries` ascend.
    #[cfg(test)]
    pub(crate) fn new(boundaries: Arc<[f64]>) -> Self {
        Self::with(boundaries, false)
    }

    /// `boundaries` ascend. With `native` there are exponential buckets besides.
    pub(crate) fn with(boundaries: Arc<[f64]>, native: bool) -> Self {
        Self {
            buckets: (0..=boundaries.len()).map(|_| AtomicU64::new(0)).collect(),
            native: native.then(|| Native::around(&boundaries)),
            boundaries,
            sum: AtomicU64::new(0.0_f64.to_bits()),
        }
    }

    fn add(&self, value: f64, times: usize) {
        if value.is_nan() {
            return;
        }
        // From below, as most samples are in the first few buckets.
        let fits = self.boundaries.iter().position(|upper| value <= *upper);
        let fits = fits.unwrap_or(self.boundaries.len());
        if let Some(bucket) = self.buckets.get(fits) {
            bucket.fetch_add(times as u64, Relaxed);
        }
        if let Some(native) = &self.native {
            native.add(value, times as u64);
        }
        if value.is_finite() {
            let amount = value * times as f64;
            let _ = self.sum.fetch_update(Relaxed, Relaxed, |bits| {
                Some((f64::from_bits(bits) + amount).to_bits())
            });
        }
    }

    pub(crate) fn native(&self) -> Option<Counted> {
        self.native.as_ref().map(Native::counted)
    }

    pub(crate) fn boundaries(&self) -> &[f64] {
        &self.boundaries
    }

    /// How many samples do not exceed each boundary, and last how many there are. Every bucket is
    /// read once, so these never descend and the last one is their total, whoever records
    /// meanwhile.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().scan(0_u64, |total, bucket| {
            *total = total.saturating_add(bucket.load(Relaxed));
            Some(*total)
        })
    }

    /// The sum of the finite samples. It is another word than the buckets: while others record,
    /// it may be ahead of them or behind by the samples of that very instant.
    pub(crate) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Relaxed))
    }
}

impl HistogramFn for AtomicHistogram {
    fn record(&self, value: f64) {
        self.add(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.add(value, count);
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::hint::black_box;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use tower_otel_semconv::metric::DURATION_BOUNDARIES;

    fn histogram(boundaries: &[f64]) -> AtomicHistogram {
        AtomicHistogram::new(boundaries.into())
    }

    fn counts(histogram: &AtomicHistogram) -> Vec<u64> {
        histogram.cumulative().collect()
    }

    #[test]
    fn a_boundary_belongs_to_its_own_bucket() {
        let histogram = histogram(&[-1.0, 0.0, 0.5]);
        for value in [-2.0, -1.0, -0.5, 0.0, -0.0, 0.5, 0.6] {
            histogram.record(value);
        }
        assert_eq!(counts(&histogram), [2, 5, 6, 7]);
        assert_eq!(histogram.sum(), -2.4);
    }

    #[test]
    fn what_is_no_number_is_dropped() {
        let histogram = histogram(&[1.0]);
        histogram.record(f64::NAN);
        histogram.record_many(-f64::NAN, 3);
        assert_eq!((counts(&histogram), histogram.sum()), (vec![0, 0], 0.0));
    }

    #[test]
    fn an_infinity_is_counted_and_leaves_the_sum_alone() {
        let histogram = histogram(&[1.0]);
        for value in [f64::INFINITY, 2.0, f64::NEG_INFINITY] {
            histogram.record(value);
        }
        histogram.record_many(f64::INFINITY, 0);
        assert_eq!((counts(&histogram), histogram.sum()), (vec![1, 3], 2.0));
    }

    #[test]
    fn many_at_once_are_as_many_as_one_by_one() {
        let (one_by_one, at_once) = (histogram(&[1.0, 4.0]), histogram(&[1.0, 4.0]));
        (0..1000).for_each(|_| one_by_one.record(3.0));
        at_once.record_many(3.0, 1000);
        assert_eq!(counts(&one_by_one), counts(&at_once));
        assert_eq!((one_by_one.sum(), at_once.sum()), (3000.0, 3000.0));
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let histogram = histogram(&[10.0, 50.0]);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100_000).for_each(|n| histogram.record(f64::from(n % 100))));
            }
        });
        assert_eq!(counts(&histogram), [88_000, 408_000, 800_000]);
        assert_eq!(histogram.sum(), 8.0 * 1000.0 * 4950.0);
    }

    /// `cargo test --release -p tower-otel-prometheus -- --ignored --nocapture record_cost`
    #[test]
    #[ignore = "a measurement, not a claim"]
    fn record_cost() {
        const ROUNDS: u32 = 2000;
        let histogram = metrics::Histogram::from_arc(Arc::new(histogram(&DURATION_BOUNDARIES)));
        let varied: Vec<f64> = (0..4096_u32)
            .map(|n| f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 20))
            .collect();
        for (label, values) in [("alike", vec![0.03; 4096]), ("varied", varied)] {
            let best = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    for _ in 0..ROUNDS {
                        values
                            .iter()
                            .for_each(|value| histogram.record(black_box(*value)));
                    }
                    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS) / 4096.0
                })
                .fold(f64::INFINITY, f64::min);
            println!("{label}: {best:.1} ns");
        }
    }
}
