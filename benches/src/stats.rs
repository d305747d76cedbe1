//! Medians and their confidence intervals.

use std::fmt;

/// The number of bootstrap resamples.
const RESAMPLES: usize = 1000;

/// A median with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median of all rounds.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Estimate {
    /// Applies a function to the median and to both ends.
    #[must_use]
    pub fn map(self, convert: impl Fn(f64) -> f64) -> Self {
        Self {
            median: convert(self.median),
            low: convert(self.low),
            high: convert(self.high),
        }
    }

    /// Returns whether the interval contains a value.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self { median, low, high } = self;
        if f.sign_plus() {
            return write!(f, "{median:+.digits$} [{low:+.digits$}, {high:+.digits$}]");
        }
        write!(f, "{median:.digits$} [{low:.digits$}, {high:.digits$}]")
    }
}

/// Returns the median: the middle value, or the mean of the two middle values.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    assert!(!numbers.is_empty());
    let (half, is_even) = (numbers.len() / 2, numbers.len().is_multiple_of(2));
    let (below, middle, _) = numbers.select_nth_unstable_by(half, f64::total_cmp);
    if is_even {
        let below = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return f64::midpoint(below, *middle);
    }
    *middle
}

/// Returns the median of all rounds and its 95 % interval, by a bootstrap of two levels: launches are drawn
/// with replacement, then the rounds of each. The interval thus includes the effects of a launch on all of
/// its rounds, such as the memory layout.
pub fn estimate(launches: &[Vec<f64>]) -> Estimate {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut draw = || {
        let mut drawn = Vec::new();
        for _ in launches {
            let launch = &launches[random.usize(..launches.len())];
            drawn.extend((0..launch.len()).map(|_| launch[random.usize(..launch.len())]));
        }
        median(drawn)
    };
    let mut medians: Vec<f64> = (0..RESAMPLES).map(|_| draw()).collect();
    medians.sort_by(f64::total_cmp);
    Estimate {
        median: median(launches.concat()),
        low: medians[RESAMPLES * 25 / 1000],
        high: medians[RESAMPLES * 975 / 1000 - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_contains_the_median_and_grows_with_the_difference_of_launches() {
        let alike: Vec<Vec<f64>> = (0..4)
            .map(|_| (0..50).map(|round| 100.0 + f64::from(round % 5)).collect())
            .collect();
        let apart: Vec<Vec<f64>> = (0..4)
            .map(|launch| vec![100.0 + 10.0 * f64::from(launch); 50])
            .collect();
        let (alike, apart) = (estimate(&alike), estimate(&apart));
        assert_eq!(alike.median, 102.0);
        assert!(alike.contains(alike.median) && apart.contains(apart.median));
        assert!(alike.high - alike.low < 5.0, "{alike}");
        assert!(apart.high - apart.low >= 10.0, "{apart}");
    }

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
