//! What an arm costs a request, by the time that its handler works.

use std::fmt;

use crate::{
    report::Table,
    samples::{P50, Samples, WORKLOADS},
    stats::Estimate,
};

/// The promise of the suite, in per cent.
const PROMISE: f64 = 2.0;

/// The service times of the table, in microseconds.
const TIMES: [f64; 6] = [25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Whether a cost is below a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is below the limit.
    Under,
    /// The whole interval is at or above the limit.
    Over,
    /// The limit is inside the interval: run longer, or on a quieter machine.
    Unknown,
}

impl Verdict {
    /// Compares an interval with a limit.
    pub fn of(cost: Estimate, limit: f64) -> Self {
        match (cost.high < limit, cost.low >= limit) {
            (true, _) => Self::Under,
            (_, true) => Self::Over,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Under => "",
            Self::Over => " over",
            Self::Unknown => " ?",
        })
    }
}

/// A measured service time.
#[derive(Clone, Copy, Debug)]
struct Point {
    micros: f64,
    /// The median latency of the bare server, in microseconds.
    bare: f64,
    /// What the arm adds, in microseconds.
    added: Estimate,
}

fn points(samples: &Samples, arm: &'static str) -> Vec<Point> {
    let measured = WORKLOADS.iter().filter_map(|workload| {
        let micros = workload.micros.map(f64::from)?;
        let bare = samples.bare(workload.name, P50).median * 1e6;
        let added = samples.added(workload.name, arm, P50);
        let added = added.map(|per_cent| per_cent / 100.0 * bare);
        Some(Point {
            micros,
            bare,
            added,
        })
    });
    measured.collect()
}

/// Returns the cost at a service time, in per cent, interpolated between the two nearest measured ones: the added time over
/// the logarithm of the service time, the latency of the bare server over the service time.
fn cost_at(points: &[Point], micros: f64) -> Estimate {
    let after = points.iter().position(|point| point.micros >= micros);
    let after = after.unwrap_or(points.len() - 1);
    let (before, after) = (points[after.saturating_sub(1)], points[after]);
    let part = |value: fn(f64) -> f64| match before.micros == after.micros {
        true => 1.0,
        false => {
            (value(micros) - value(before.micros)) / (value(after.micros) - value(before.micros))
        }
    };
    let between = |before: f64, after: f64, part: f64| before + (after - before) * part;
    let bare = between(before.bare, after.bare, part(|micros| micros));
    let part = part(f64::ln);
    let added = |end: fn(&Estimate) -> f64| {
        between(end(&before.added), end(&after.added), part) / bare * 100.0
    };
    Estimate {
        median: added(|added| added.median),
        low: added(|added| added.low),
        high: added(|added| added.high),
    }
}

/// Prints the costs of all arms.
pub fn report(arms: &[&'static str], samples: &Samples, markdown: bool) {
    println!(
        "\nWhat a request costs, by the time that its handler works: p50 over the bare server, one connection, in per cent\n"
    );
    let mut table = Table::new([
        "arm", "25 µs", "50 µs", "100 µs", "250 µs", "500 µs", "1 ms",
    ]);
    for arm in arms {
        let points = points(samples, arm);
        let mut row = [(); 7].map(|()| String::new());
        row[0] = (*arm).to_owned();
        for (cell, micros) in row[1..].iter_mut().zip(TIMES) {
            let cost = cost_at(&points, micros);
            *cell = match Verdict::of(cost, PROMISE) {
                Verdict::Under if markdown => format!("**{:+.1}**", cost.median),
                Verdict::Under => format!("{:+.1} under", cost.median),
                verdict => format!("{:+.1}{verdict}", cost.median),
            };
        }
        table.row(row);
    }
    table.print(markdown);
    let under = if markdown { "bold" } else { "under" };
    println!(
        "\n{under}: under {PROMISE} %, with the whole 95 % interval. over: over {PROMISE} %. ?: this machine cannot tell at this\n\
         size, run longer. Measured at 25 µs, 100 µs and 1 ms of work, interpolated between."
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{BARE, BARE_AGAIN, tests::samples};

    #[test]
    fn costs_between_measured_service_times_are_interpolated() {
        // The bare server takes 30 µs longer than its handler. The arm adds 3 µs.
        let samples = samples(&[BARE, BARE_AGAIN, "arm"], |workload, arm| {
            let bare = 30.0 + f64::from(workload.micros.unwrap_or(1));
            let added = if arm == "arm" { 3.0 } else { 0.0 };
            (bare + added) * 1e-6
        });
        let points = points(&samples, "arm");
        for micros in TIMES {
            let expected = 3.0 / (30.0 + micros) * 100.0;
            let cost = cost_at(&points, micros);
            assert!((cost.median - expected).abs() < 1e-9, "{micros}: {cost}");
        }
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let cost = |low, high| Estimate {
            median: f64::midpoint(low, high),
            low,
            high,
        };
        assert_eq!(Verdict::of(cost(1.0, 1.9), 2.0), Verdict::Under);
        assert_eq!(Verdict::of(cost(1.0, 2.0), 2.0), Verdict::Unknown);
        assert_eq!(Verdict::of(cost(2.0, 2.5), 2.0), Verdict::Over);
    }
}
