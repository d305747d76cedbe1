//! Statistics of latency measurements.

use std::time::Duration;

/// Returns the median and the 99th percentile in microseconds.
pub fn percentiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [times.len() / 2, times.len() * 99 / 100].map(|at| times[at].as_secs_f64() * 1e6)
}

/// Returns the median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the 95 % bootstrap interval of the median of ratios.
pub fn median_interval(ratios: &[f64], seed: &mut u64) -> [f64; 2] {
    let mut resampled = || -> Vec<f64> {
        let draw = |_: &f64| ratios[random(seed, ratios.len())];
        ratios.iter().map(draw).collect()
    };
    let mut medians: Vec<_> = (0..2000).map(|_| median(resampled())).collect();
    medians.sort_unstable_by(f64::total_cmp);
    [medians[50], medians[1949]]
}

/// Returns the indices below a count in random order.
pub fn shuffled_indices(count: usize, seed: &mut u64) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, random(seed, at + 1));
    }
    order
}

/// Returns a pseudo-random number below a limit, by xorshift.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed % below as u64) as usize
}
