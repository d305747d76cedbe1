//! Two things measured in turns, and how far apart they are.

use std::time::Duration;

/// The median and the 99th percentile, in microseconds.
pub fn percentiles(mut took: Vec<Duration>) -> [f64; 2] {
    took.sort_unstable();
    [took.len() / 2, took.len() * 99 / 100].map(|at| took[at].as_secs_f64() * 1e6)
}

/// The middle of some numbers.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where 95 % of the medians of resampled ratios lie.
pub fn interval(ratios: &[f64], seed: &mut u64) -> [f64; 2] {
    let mut resampled = || -> Vec<f64> {
        let draw = |_: &f64| ratios[random(seed, ratios.len())];
        ratios.iter().map(draw).collect()
    };
    let mut medians: Vec<_> = (0..2000).map(|_| median(resampled())).collect();
    medians.sort_unstable_by(f64::total_cmp);
    [medians[50], medians[1949]]
}

/// So many turns, in an order of their own.
pub fn turns(of: usize, seed: &mut u64) -> Vec<usize> {
    let mut order: Vec<_> = (0..of).collect();
    for at in (1..of).rev() {
        order.swap(at, random(seed, at + 1));
    }
    order
}

/// A number below another one, by xorshift: the same seed, the same numbers.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed % below as u64) as usize
}
