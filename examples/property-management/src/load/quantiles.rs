//! Quantiles of latencies, and their differences between systems.

use std::fmt;

/// The number of resamples of a bootstrap.
const RESAMPLES: usize = 500;

/// The latencies in seconds of the requests to each system. The systems were measured immediately one after another.
pub(super) type Block = [Vec<f64>; 3];

/// The blocks of one kind of request while the systems ran.
pub(super) type Launch = Vec<Block>;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Returns a quantile of sorted numbers: the smallest number that at least this fraction of the numbers does not exceed.
pub(super) fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let rank = (sorted.len() as f64 * fraction).ceil() as usize;
    let at = rank.saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Returns all latencies of one system, sorted.
pub(super) fn pooled<'a>(blocks: impl IntoIterator<Item = &'a Block>, arm: usize) -> Vec<f64> {
    let arms = blocks.into_iter().filter_map(|block| block.get(arm));
    let mut pooled: Vec<f64> = arms.flatten().copied().collect();
    pooled.sort_unstable_by(f64::total_cmp);
    pooled
}

/// Returns a figure of all blocks and its interval, by a bootstrap of two levels: launches are drawn with replacement,
/// then the blocks of each. A block has the latencies of all systems, so a temporary slowdown of the machine affects all of
/// them.
pub(super) fn estimate(launches: &[Launch], figure: impl Fn(&[&Block]) -> f64) -> Estimate {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut draw = || {
        let mut drawn = Vec::new();
        for _ in launches {
            let launch = launches.get(random.usize(..launches.len()));
            let launch = launch.map(Vec::as_slice).unwrap_or_default();
            drawn.extend(
                launch
                    .iter()
                    .filter_map(|_| launch.get(random.usize(..launch.len()))),
            );
        }
        figure(&drawn)
    };
    let mut figures: Vec<f64> = (0..RESAMPLES).map(|_| draw()).collect();
    figures.sort_unstable_by(f64::total_cmp);
    let all: Vec<&Block> = launches.iter().flatten().collect();
    Estimate {
        value: figure(&all),
        low: quantile(&figures, 0.025),
        high: quantile(&figures, 0.975),
    }
}

/// Returns the difference in per cent between a quantile of one system and the same quantile of the first system.
pub(super) fn difference(launches: &[Launch], arm: usize, fraction: f64) -> Estimate {
    estimate(launches, |blocks| {
        let of = |arm| quantile(&pooled(blocks.iter().copied(), arm), fraction);
        100.0 * (of(arm) / of(0) - 1.0)
    })
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, low, high } = self;
        write!(f, "{value:+.1} % [{low:+.1}, {high:+.1}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launches(seconds: impl Fn(usize) -> Block) -> Vec<Launch> {
        (0..4)
            .map(|launch| (0..20).map(|block| seconds(20 * launch + block)).collect())
            .collect()
    }

    #[test]
    fn quantiles_are_numbers_of_the_sample() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        for (fraction, number) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(quantile(&sorted, fraction), number);
        }
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn a_drift_of_the_machine_is_in_no_difference() {
        let drift = launches(|at| {
            let slow = 1.0 + at as f64 / 40.0;
            [vec![slow], vec![slow], vec![slow * 1.05]]
        });
        let difference = difference(&drift, 2, 0.5);
        assert!((difference.value - 5.0).abs() < 1e-9, "{difference}");
        assert!(
            difference.low > 4.9 && difference.high < 5.1,
            "{difference}"
        );
    }

    #[test]
    fn the_interval_is_as_wide_as_launches_differ() {
        let apart = launches(|at| {
            let more = if at < 40 { 1.0 } else { 1.1 };
            [vec![1.0], vec![1.0], vec![more]]
        });
        let difference = difference(&apart, 2, 0.5);
        assert!(
            difference.low < 1.0 && difference.high > 9.0,
            "{difference}"
        );
    }
}
