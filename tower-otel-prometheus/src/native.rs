//! Native histograms: exponential buckets, fine enough that nobody has to choose boundaries.

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A bucket is the eighth root of two wide: quantiles are right within five percent.
pub(crate) const SCHEMA: i32 = 3;
const PER_DOUBLING: f64 = 8.0;

/// Buckets reach from a thousandth of the lowest boundary to a thousandfold of the highest one.
const MARGIN: i32 = 80;

/// Counts every sample in exactly one bucket, like the histogram it belongs to, and as it does in
/// memory that never grows: about two kilobytes for durations.
///
/// What is not above the lowest bucket is in the zero bucket, what is above the highest in that.
pub(crate) struct Native {
    /// Index of the first bucket; bucket `i` ends at two to the power of `i / 8`.
    first: i32,
    zero: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

/// What has been counted at one time.
pub(crate) struct Counted {
    pub(crate) first: i32,
    pub(crate) zero: u64,
    pub(crate) buckets: Vec<u64>,
}

impl Native {
    /// Around boundaries that ascend.
    pub(crate) fn around(boundaries: &[f64]) -> Self {
        let mut positive = boundaries.iter().filter(|boundary| **boundary > 0.0);
        let low = positive.next().copied().unwrap_or(1.0);
        let high = positive.next_back().copied().unwrap_or(low);
        let first = index(low).saturating_sub(MARGIN);
        let last = index(high).saturating_add(MARGIN);
        // A thousand buckets at most, however far apart the boundaries are.
        let last = last.min(first.saturating_add(1_000));
        Self {
            first,
            zero: AtomicU64::new(0),
            buckets: (first..=last).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// `value` is a number.
    pub(crate) fn add(&self, value: f64, times: u64) {
        let at = if value > 0.0 {
            i64::from(index(value)) - i64::from(self.first)
        } else {
            -1
        };
        let bucket = match usize::try_from(at) {
            Ok(at) => self.buckets.get(at).or(self.buckets.last()),
            Err(_) => None,
        };
        bucket.unwrap_or(&self.zero).fetch_add(times, Relaxed);
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted {
            first: self.first,
            zero: self.zero.load(Relaxed),
            buckets: self.buckets.iter().map(|one| one.load(Relaxed)).collect(),
        }
    }
}

impl Counted {
    pub(crate) fn total(&self) -> u64 {
        self.buckets
            .iter()
            .fold(self.zero, |a, b| a.saturating_add(*b))
    }

    /// The upper end of the zero bucket.
    pub(crate) fn zero_threshold(&self) -> f64 {
        (f64::from(self.first - 1) / PER_DOUBLING).exp2()
    }
}

/// The bucket of a positive number.
fn index(value: f64) -> i32 {
    // Saturates for an infinity.
    (value.log2() * PER_DOUBLING).ceil() as i32
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
    fn every_sample_is_in_the_bucket_it_fits_or_at_an_end() {
        let native = Native::around(&DURATION_BOUNDARIES);
        for value in [-1.0, 0.0, 1e-9, 0.03, 1.0, 1e9, f64::INFINITY] {
            native.add(value, 1);
        }
        let counted = native.counted();
        assert_eq!((counted.zero, counted.total()), (3, 7));
        assert_eq!(counted.buckets.last(), Some(&2));
        let at = |value: f64| usize::try_from(index(value) - counted.first).unwrap();
        assert_eq!(counted.buckets[at(1.0)], 1);
        assert_eq!(index(1.0), 0, "a power of two belongs below");
        let upper = (f64::from(index(0.03)) / PER_DOUBLING).exp2();
        assert!((0.03..0.03 * 1.1).contains(&upper));
        assert!(counted.zero_threshold() < 1e-5);
    }

    #[test]
    fn its_size_is_bounded() {
        assert!(Native::around(&DURATION_BOUNDARIES).buckets.len() < 300);
        for boundaries in [[1e-300, 1e300], [-2.0, -1.0], [0.0, f64::MAX]] {
            assert!(Native::around(&boundaries).buckets.len() <= 1_001);
        }
    }
}
