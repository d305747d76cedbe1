//! Native histograms: exponential buckets with a fixed resolution.
//!
//! See [the specification](https://prometheus.io/docs/specs/native_histograms/).

use std::ops::RangeInclusive;

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The resolution: each bucket is wider than the previous one by a factor of 2^(1/8), which keeps
/// quantiles within five percent.
pub(crate) const SCHEMA: i32 = 3;
const BUCKETS_PER_DOUBLING: f64 = 8.0;

/// The number of buckets below the lowest and above the highest boundary: ten doublings, a factor of about a thousand.
const MARGIN: i32 = 80;

/// Counts every sample in exactly one exponential bucket.
///
/// The number of buckets is fixed at creation. They use about two kilobytes for durations, and at most eight. Samples
/// below the lowest bucket are counted in the zero bucket, samples above the highest bucket in the highest one.
pub(crate) struct NativeBuckets {
    /// The index of the first bucket. Bucket `i` ends at 2^(i/8).
    first: i32,
    zero: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

/// The counts of [`NativeBuckets`] at one time.
pub(crate) struct NativeSnapshot {
    pub(crate) first: i32,
    pub(crate) zero: u64,
    pub(crate) buckets: Vec<u64>,
}

impl NativeBuckets {
    /// Creates at most 1001 buckets, which cover ascending `boundaries` from the lowest one.
    pub(crate) fn new(boundaries: &[f64]) -> Self {
        let indices = indices(boundaries);
        Self {
            first: *indices.start(),
            zero: AtomicU64::new(0),
            buckets: indices.map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns the size of the buckets for these boundaries, in bytes.
    pub(crate) fn size(boundaries: &[f64]) -> usize {
        size_of::<AtomicU64>() * indices(boundaries).count()
    }

    /// Counts `value`, which must not be NaN, `times` times.
    #[inline(never)]
    pub(crate) fn add(&self, value: f64, times: u64) {
        let offset = if value > 0.0 {
            i64::from(bucket_index(value)) - i64::from(self.first)
        } else {
            -1
        };
        let bucket = match usize::try_from(offset) {
            Ok(offset) => self.buckets.get(offset).or(self.buckets.last()),
            Err(_) => None,
        };
        bucket.unwrap_or(&self.zero).fetch_add(times, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> NativeSnapshot {
        NativeSnapshot {
            first: self.first,
            zero: self.zero.load(Relaxed),
            buckets: self
                .buckets
                .iter()
                .map(|bucket| bucket.load(Relaxed))
                .collect(),
        }
    }
}

impl NativeSnapshot {
    /// Returns the number of samples.
    pub(crate) fn total(&self) -> u64 {
        self.buckets
            .iter()
            .fold(self.zero, |a, b| a.saturating_add(*b))
    }

    /// Returns the upper end of the zero bucket.
    pub(crate) fn zero_threshold(&self) -> f64 {
        (f64::from(self.first - 1) / BUCKETS_PER_DOUBLING).exp2()
    }
}

/// Returns the indices of the buckets that cover ascending `boundaries`, with the margin.
fn indices(boundaries: &[f64]) -> RangeInclusive<i32> {
    let mut positive = boundaries.iter().filter(|boundary| **boundary > 0.0);
    let low = positive.next().copied().unwrap_or(1.0);
    let high = positive.next_back().copied().unwrap_or(low);
    let first = bucket_index(low).saturating_sub(MARGIN);
    let last = bucket_index(high).saturating_add(MARGIN);
    first..=last.min(first.saturating_add(1_000))
}

/// Returns the index of the bucket of a positive number. Saturates for an infinity.
fn bucket_index(value: f64) -> i32 {
    (value.log2() * BUCKETS_PER_DOUBLING).ceil() as i32
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;
    use tower_otel_semconv::metric::DURATION_BOUNDARIES;

    #[test]
    fn every_sample_is_in_exactly_one_bucket() {
        let native = NativeBuckets::new(&DURATION_BOUNDARIES);
        for value in [-1.0, 0.0, 1e-9, 0.03, 1.0, 1e9, f64::INFINITY] {
            native.add(value, 1);
        }
        let snapshot = native.snapshot();
        assert_eq!((snapshot.zero, snapshot.total()), (3, 7));
        assert_eq!(snapshot.buckets.last(), Some(&2));
        let position = |value: f64| usize::try_from(bucket_index(value) - snapshot.first).unwrap();
        assert_eq!(snapshot.buckets[position(1.0)], 1);
        assert_eq!(
            bucket_index(1.0),
            0,
            "a power of two is in the lower bucket"
        );
        let upper = (f64::from(bucket_index(0.03)) / BUCKETS_PER_DOUBLING).exp2();
        assert!((0.03..0.03 * 1.1).contains(&upper));
        assert!(snapshot.zero_threshold() < 1e-5);
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        assert!(NativeBuckets::new(&DURATION_BOUNDARIES).buckets.len() < 300);
        for boundaries in [[1e-300, 1e300], [-2.0, -1.0], [0.0, f64::MAX]] {
            assert!(NativeBuckets::new(&boundaries).buckets.len() <= 1_001);
        }
    }
}
