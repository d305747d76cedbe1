//! A histogram with fixed buckets that loses no sample.

use std::{array, sync::Arc};

use metrics::HistogramFn;

use crate::{
    exemplar::{Exemplar, Exemplars, SpanSource},
    native::{NativeBuckets, NativeSnapshot},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A histogram that counts every sample in exactly one bucket, without a lock.
///
/// All memory is allocated by [`new`](Self::new): eight bytes per bucket and for the sum, and the boundaries, which all series
/// of a name share. Recording changes these words in place.
///
/// `Relaxed` is sufficient: a read-modify-write of one atomic is never lost, no word is ordered
/// relative to another, and joining a thread makes everything it recorded visible.
///
/// A NaN is dropped, because it fits no bucket and would turn the sum into NaN. An infinity is
/// counted in the first or the last bucket and is not added to the sum.
///
/// The fields are in this order, so that most samples use one cache line: threads contend for each line that a sample changes,
/// and with many series a line is rarely in the CPU cache.
#[repr(C, align(64))]
pub(crate) struct AtomicHistogram {
    boundaries: Arc<[f64]>,
    native: Option<Box<NativeBuckets>>,
    /// The sum, as the bits of an `f64`.
    sum: AtomicU64,
    /// The first buckets. There is one bucket per boundary and one for larger samples. Not cumulative.
    first: [AtomicU64; FIRST],
    exemplars: Exemplars,
    /// The other buckets.
    others: Box<[CacheLine]>,
}

/// Buckets on a line of their own, so that histograms do not share lines.
#[derive(Default)]
#[repr(align(64))]
struct CacheLine([AtomicU64; BUCKETS_OF_LINE]);

const BUCKETS_OF_LINE: usize = 8;

/// Returns the number of lines of the other buckets.
fn other_lines(boundaries: &[f64]) -> usize {
    let others = (boundaries.len() + 1).saturating_sub(FIRST);
    others.div_ceil(BUCKETS_OF_LINE)
}

/// The number of buckets on the line of the sum.
const FIRST: usize = 2;

impl AtomicHistogram {
    /// Creates a histogram with ascending `boundaries`. It has native buckets if `native` is set, and
    /// exemplars if `spans` is set.
    pub(crate) fn new(boundaries: Arc<[f64]>, native: bool, spans: Option<SpanSource>) -> Self {
        let zero = |_| AtomicU64::new(0);
        Self {
            exemplars: Exemplars::new(spans, boundaries.len() + 1),
            sum: AtomicU64::new(0),
            first: array::from_fn(zero),
            others: (0..other_lines(&boundaries))
                .map(|_| CacheLine::default())
                .collect(),
            native: native.then(|| NativeBuckets::new(&boundaries).into()),
            boundaries,
        }
    }

    #[inline]
    fn bucket(&self, index: usize) -> Option<&AtomicU64> {
        match self.first.get(index) {
            Some(bucket) => Some(bucket),
            None => {
                let index = index - FIRST;
                let line = self.others.get(index / BUCKETS_OF_LINE)?;
                line.0.get(index % BUCKETS_OF_LINE)
            }
        }
    }

    /// Returns the approximate size of a histogram in bytes, with an exemplar in every bucket.
    pub(crate) fn size(boundaries: &[f64], native: bool, has_exemplars: bool) -> usize {
        let buckets = boundaries.len() + 1;
        let others = other_lines(boundaries) * size_of::<CacheLine>();
        let native = if native {
            size_of::<NativeBuckets>() + NativeBuckets::size(boundaries)
        } else {
            0
        };
        let exemplars = if has_exemplars { 60 * buckets } else { 0 };
        size_of::<Self>() + others + native + exemplars
    }

    fn add(&self, value: f64, times: usize) {
        if value.is_nan() {
            return;
        }
        // A linear search from below: most samples are in the first few buckets.
        let index = self.boundaries.iter().position(|upper| value <= *upper);
        let index = index.unwrap_or(self.boundaries.len());
        if let Some(bucket) = self.bucket(index) {
            bucket.fetch_add(times as u64, Relaxed);
        }
        self.exemplars.offer(index, value);
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

    /// Returns the exemplar of a bucket by its index. The next sample in the bucket may replace it.
    pub(crate) fn exemplar(&self, bucket: usize) -> Option<Exemplar> {
        self.exemplars.read(bucket)
    }

    /// Returns the counts of the native buckets, if there are any.
    pub(crate) fn native(&self) -> Option<NativeSnapshot> {
        Some(self.native.as_ref()?.snapshot())
    }

    pub(crate) fn boundaries(&self) -> &[f64] {
        &self.boundaries
    }

    /// Returns the number of samples up to each boundary, and the total as the last item. Every
    /// bucket is read once, so the items never descend while other threads record.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = u64> {
        let others = self.others.iter().flat_map(|line| &line.0);
        let buckets = self.first.iter().chain(others);
        let buckets = buckets.take(self.boundaries.len() + 1);
        buckets.scan(0_u64, |total, bucket| {
            *total = total.saturating_add(bucket.load(Relaxed));
            Some(*total)
        })
    }

    /// Returns the sum of the finite samples. It may differ from the buckets by samples that other threads
    /// record at the same time.
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
        AtomicHistogram::new(boundaries.into(), false, None)
    }

    fn counts(histogram: &AtomicHistogram) -> Vec<u64> {
        histogram.cumulative().collect()
    }

    #[test]
    fn a_sample_equal_to_a_boundary_is_in_its_bucket() {
        let histogram = histogram(&[-1.0, 0.0, 0.5]);
        for value in [-2.0, -1.0, -0.5, 0.0, -0.0, 0.5, 0.6] {
            histogram.record(value);
        }
        assert_eq!(counts(&histogram), [2, 5, 6, 7]);
        assert_eq!(histogram.sum(), -2.4);
    }

    #[test]
    fn nan_is_dropped() {
        let histogram = histogram(&[1.0]);
        histogram.record(f64::NAN);
        histogram.record_many(-f64::NAN, 3);
        assert_eq!((counts(&histogram), histogram.sum()), (vec![0, 0], 0.0));
    }

    #[test]
    fn an_infinity_is_counted_and_not_added_to_the_sum() {
        let histogram = histogram(&[1.0]);
        for value in [f64::INFINITY, 2.0, f64::NEG_INFINITY] {
            histogram.record(value);
        }
        histogram.record_many(f64::INFINITY, 0);
        assert_eq!((counts(&histogram), histogram.sum()), (vec![1, 3], 2.0));
    }

    #[test]
    fn the_size_includes_all_native_buckets() {
        for boundaries in [&DURATION_BOUNDARIES[..], &[1e-300, 1e300]] {
            let histogram = AtomicHistogram::new(boundaries.into(), true, None);
            let native = histogram.native().unwrap().buckets.len();
            let words = native + boundaries.len() + 1;
            let least = size_of::<AtomicHistogram>() + 8 * words;
            assert!(AtomicHistogram::size(boundaries, true, false) >= least);
        }
    }

    #[test]
    fn record_many_equals_repeated_record() {
        let (one_by_one, at_once) = (histogram(&[1.0, 4.0]), histogram(&[1.0, 4.0]));
        (0..1000).for_each(|_| one_by_one.record(3.0));
        at_once.record_many(3.0, 1000);
        assert_eq!(counts(&one_by_one), counts(&at_once));
        assert_eq!((one_by_one.sum(), at_once.sum()), (3000.0, 3000.0));
    }

    #[test]
    fn no_sample_of_concurrent_threads_is_lost() {
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
    #[ignore = "a measurement"]
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
