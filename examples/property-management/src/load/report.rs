//! The tables, the plot and the verdict.

use std::{fmt::Write, process::ExitCode};

use super::{
    quantiles::{self, Block, Estimate, Launch},
    requests::Kind,
};

/// The maximum increase of the median by telemetry, in per cent.
const BUDGET: f64 = 2.0;

/// The minimum number of blocks for a verdict.
const MIN_BLOCKS: usize = 16;

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// The length of the longest bar of a plot.
const BAR_LENGTH: f64 = 40.0;

/// The index of the system without telemetry in a [`Block`].
const WITHOUT: usize = 0;
/// The index of the control, another system without telemetry.
const CONTROL: usize = 1;
/// The index of the system with telemetry.
const WITH: usize = 2;

/// The measurement of one kind of request.
pub(super) struct Comparison {
    pub(super) kind: &'static Kind,
    pub(super) launches: Vec<Launch>,
}

/// The result: whether the median is within the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Under,
    Over,
    Unknown,
}

impl Comparison {
    pub(super) const fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            launches: Vec::new(),
        }
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.launches.iter().flatten()
    }

    fn difference(&self, arm: usize, fraction: f64) -> Estimate {
        quantiles::difference(&self.launches, arm, fraction)
    }

    fn verdict(&self) -> Verdict {
        if self.blocks().count() < MIN_BLOCKS {
            return Verdict::Unknown;
        }
        verdict(self.difference(WITH, 0.5), self.difference(CONTROL, 0.5))
    }

    /// Returns the table of one kind of request.
    fn table(&self) -> String {
        let (without, with) = (self.latencies(WITHOUT), self.latencies(WITH));
        let Kind {
            name,
            description,
            method,
            path,
            rate,
            ..
        } = self.kind;
        let mut text = format!(
            "{name}: {method} {path}, {description}\n{} requests to each system, {rate} a second\n\n\
             \x20            without   with telemetry   difference [95 %]        control\n",
            with.len(),
        );
        for (name, fraction) in QUANTILES {
            let of = |sorted: &[f64]| duration(quantiles::quantile(sorted, fraction));
            let _ = writeln!(
                text,
                "{name:<9}{:>11}{:>17}   {:<25}{}",
                of(&without),
                of(&with),
                self.difference(WITH, fraction).to_string(),
                self.difference(CONTROL, fraction),
            );
        }
        text
    }

    /// Returns a plot of the quantiles: a bar without telemetry and a bar with telemetry.
    fn plot(&self) -> String {
        let (without, with) = (self.latencies(WITHOUT), self.latencies(WITH));
        let longest = quantiles::quantile(&without, 0.99).max(quantiles::quantile(&with, 0.99));
        let mut text = String::new();
        for fraction in [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] {
            for (sorted, fill, name) in [
                (&without, '░', format!("p{:.0}", 100.0 * fraction)),
                (&with, '█', String::new()),
            ] {
                let seconds = quantiles::quantile(sorted, fraction);
                let bar = bar(seconds / longest, fill);
                let _ = writeln!(text, "{name:<5}{bar} {}", duration(seconds));
            }
        }
        text
    }

    fn latencies(&self, arm: usize) -> Vec<f64> {
        quantiles::pooled(self.blocks(), arm)
    }
}

/// Prints the tables, the plots and the verdict. Returns 0 if the median of every kind is within the budget, 1 if one exceeds
/// it, and 2 if the measurement does not decide it.
pub(super) fn print(comparisons: &[Comparison]) -> ExitCode {
    for comparison in comparisons {
        println!("{}\n{}", comparison.table(), comparison.plot());
    }
    println!("░ without, █ with telemetry: all layers, every request sampled, OTLP over HTTP\n");
    let mut code = 0;
    for comparison in comparisons {
        let difference = comparison.difference(WITH, 0.5);
        let text = match comparison.verdict() {
            Verdict::Under => "under 2 %",
            Verdict::Over => "over 2 %",
            Verdict::Unknown => {
                "no verdict: the measurement is too short or too noisy; run all rounds while nothing else runs"
            }
        };
        println!("{:<6} p50 {difference}: {text}", comparison.kind.name);
        code = match comparison.verdict() {
            Verdict::Over => 1,
            Verdict::Unknown if code == 0 => 2,
            _ => code,
        };
    }
    ExitCode::from(code)
}

/// Returns the verdict. The interval of the control must contain 0, otherwise the measurement is too noisy.
fn verdict(difference: Estimate, control: Estimate) -> Verdict {
    if control.low > 0.0 || control.high < 0.0 {
        Verdict::Unknown
    } else if difference.high < BUDGET {
        Verdict::Under
    } else if difference.low > BUDGET {
        Verdict::Over
    } else {
        Verdict::Unknown
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn bar(fraction: f64, fill: char) -> String {
    let length = (BAR_LENGTH * fraction.clamp(0.0, 1.0)).round() as usize;
    fill.to_string().repeat(length.max(1))
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.001 => format!("{:.0} µs", 1e6 * seconds),
        seconds if seconds < 0.1 => format!("{:.2} ms", 1e3 * seconds),
        seconds => format!("{:.0} ms", 1e3 * seconds),
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::load::requests::KINDS;

    fn estimate(low: f64, high: f64) -> Estimate {
        Estimate {
            value: f64::midpoint(low, high),
            low,
            high,
        }
    }

    #[test]
    fn the_verdict_needs_the_whole_interval_and_a_control_around_zero() {
        let quiet = estimate(-0.3, 0.3);
        for (difference, control, expected) in [
            (estimate(0.5, 1.9), quiet, Verdict::Under),
            (estimate(2.1, 3.0), quiet, Verdict::Over),
            (estimate(1.0, 3.0), quiet, Verdict::Unknown),
            (estimate(0.5, 1.9), estimate(0.1, 0.5), Verdict::Unknown),
        ] {
            assert_eq!(
                verdict(difference, control),
                expected,
                "{difference} {control}"
            );
        }
    }

    #[test]
    fn table_and_plot_show_both_systems() {
        let block = [vec![0.001; 10], vec![0.001; 10], vec![0.0011; 10]];
        let comparison = Comparison {
            launches: vec![vec![block; 4]],
            ..Comparison::new(&KINDS[0])
        };
        let table = comparison.table();
        assert!(table.contains("40 requests"), "{table}");
        assert!(
            table.contains("1.00 ms          1.10 ms   +10.0 %"),
            "{table}"
        );
        let plot = comparison.plot();
        assert!(
            plot.contains(&format!("p50  {} 1.00 ms", "░".repeat(36))),
            "{plot}"
        );
        assert!(
            plot.contains(&format!("     {} 1.10 ms", "█".repeat(40))),
            "{plot}"
        );
    }
}
