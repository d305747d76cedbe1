//! A histogram with fixed buckets that loses no sample.

use std::sync::Arc;

use metrics::HistogramFn;

use crate::{
    cells::{CellAllocator, Cells, ThreadCells},
    exemplar::{Exemplar, Exemplars, SpanSource},
    native::{NativeBuckets, NativeSnapshot},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A histogram that counts every sample in exactly one bucket, without a lock.
///
/// Each thread has a sum and buckets of its own. The boundaries are shared by all series of a name.
///
/// A NaN is dropped, because it fits no bucket and would turn the sum into NaN. An infinity is
/// counted in the first or the last bucket and is not added to the sum.
///
/// The fields are in this order, so that most samples read one cache line of the histogram: with many series a line is rarely in
/// the CPU cache.
#[repr(C, align(64))]
pub(crate) struct AtomicHistogram {
    boundaries: Arc<[f64]>,
    /// The sum, as the bits of an `f64`, and the first buckets. There is one bucket per boundary and one for larger samples.
    /// Not cumulative.
    cells: Cells,
    native: Option<Box<NativeBuckets>>,
    exemplars: Exemplars,
    /// The buckets that do not fit into the cells. All threads share them.
    others: Box<[AtomicU64]>,
}

/// The cell of the sum.
const SUM: u8 = 0;

/// The cell of the first bucket.
const FIRST_BUCKET: usize = 1;

/// Returns the number of cells and of other buckets.
fn cells_and_others(boundaries: &[f64]) -> (usize, usize) {
    let cells = FIRST_BUCKET + boundaries.len() + 1;
    (cells.min(Cells::MAX), cells.saturating_sub(Cells::MAX))
}

impl AtomicHistogram {
    /// Creates a histogram with ascending `boundaries`. It has native buckets if `native` is set, and
    /// exemplars if `spans` is set.
    pub(crate) fn new(
        boundaries: Arc<[f64]>,
        native: bool,
        spans: Option<SpanSource>,
        cells: &CellAllocator,
    ) -> Self {
        let (length, others) = cells_and_others(&boundaries);
        Self {
            cells: cells.allocate(length),
            exemplars: Exemplars::new(spans, boundaries.len() + 1),
            others: (0..others).map(|_| AtomicU64::new(0)).collect(),
            native: native.then(|| NativeBuckets::new(&boundaries).into()),
            boundaries,
        }
    }

    /// Returns the approximate size of a histogram in bytes, with an exemplar in every bucket.
    pub(crate) fn size(boundaries: &[f64], native: bool, has_exemplars: bool) -> usize {
        let buckets = boundaries.len() + 1;
        let (cells, others) = cells_and_others(boundaries);
        let native = if native {
            size_of::<NativeBuckets>() + NativeBuckets::size(boundaries)
        } else {
            0
        };
        let exemplars = if has_exemplars { 60 * buckets } else { 0 };
        let others = others * size_of::<AtomicU64>();
        size_of::<Self>() + Cells::size(cells) + others + native + exemplars
    }

    /// Inlined, because a single sample needs no product.
    #[inline(always)]
    fn add(&self, value: f64, times: usize) {
        if value.is_nan() {
            return;
        }
        // A linear search from below: most samples are in the first few buckets.
        let index = self.boundaries.iter().position(|upper| value <= *upper);
        let index = index.unwrap_or(self.boundaries.len());
        // Every call is the last one, so that most samples save no registers.
        let Some(cells) = self.cells.own() else {
            return self.add_first(index, value, times);
        };
        self.count(cells, index, value, times);
        if self.exemplars.is_due(index) {
            self.add_details(index, value, times);
        } else if let Some(native) = &self.native {
            native.add(value, times as u64);
        }
    }

    #[inline]
    fn count(&self, cells: ThreadCells<'_>, bucket: usize, value: f64, times: usize) {
        let cell = FIRST_BUCKET + bucket;
        if cell < Cells::MAX {
            cells.add(cell as u8, times as u64);
        } else if let Some(bucket) = self.others.get(cell - Cells::MAX) {
            bucket.fetch_add(times as u64, Relaxed);
        }
        if value.is_finite() {
            let amount = value * times as f64;
            cells.update(SUM, |sum| (f64::from_bits(sum) + amount).to_bits());
        }
    }

    #[cold]
    #[inline(never)]
    fn add_first(&self, bucket: usize, value: f64, times: usize) {
        self.count(self.cells.own_or_shared(), bucket, value, times);
        self.add_details(bucket, value, times);
    }

    /// Adds a sample to the native buckets and to the exemplars.
    #[inline(never)]
    fn add_details(&self, bucket: usize, value: f64, times: usize) {
        if let Some(native) = &self.native {
            native.add(value, times as u64);
        }
        self.exemplars.offer(bucket, value);
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
        let (cells, _) = cells_and_others(&self.boundaries);
        let buckets = (FIRST_BUCKET..cells).map(|cell| self.cells.sum(cell as u8));
        let others = self.others.iter().map(|bucket| bucket.load(Relaxed));
        buckets.chain(others).scan(0_u64, |total, bucket| {
            *total = total.saturating_add(bucket);
            Some(*total)
        })
    }

    /// Returns the sum of the finite samples. It may differ from the buckets by samples that other threads
    /// record at the same time. The sums of the threads are added in the order of their indices, so it is the same
    /// until the next sample.
    pub(crate) fn sum(&self) -> f64 {
        self.cells
            .values(SUM)
            .map(f64::from_bits)
            .fold(0.0, |sum, own| sum + own)
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
        AtomicHistogram::new(boundaries.into(), false, None, &CellAllocator::default())
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
            let histogram =
                AtomicHistogram::new(boundaries.into(), true, None, &CellAllocator::default());
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
