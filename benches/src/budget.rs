//! The limits of the overhead, and their check.

use crate::{
    report::Table,
    samples::{BARE, Figure, P50, PROCESS, SERVING, Samples, WORKLOADS, figures},
    service_times::Verdict,
    stats::Estimate,
};

const METRICS: &str = "metrics";
const DIRECT: &str = "direct + metrics";
const RECORD: &str = "record + metrics";
const TRACING: &str = "tracing + metrics";
const RECORD_YARDSTICK: &str = "yardstick of record + metrics";
const TRACING_YARDSTICK: &str = "yardstick of tracing + metrics";

/// A limit of what an arm adds to a figure of the bare server.
#[derive(Clone, Copy, Debug)]
struct Limit {
    workload: &'static str,
    arm: &'static str,
    figure: Figure,
    /// The maximum, in per cent, for the upper end of the interval.
    at_most: Option<f64>,
    /// Another arm, and the maximum as a multiple of what that arm adds.
    beside: Option<(&'static str, f64)>,
    /// Whether one of the two maxima suffices.
    either: bool,
}

impl Limit {
    const fn new(workload: &'static str, arm: &'static str, figure: Figure) -> Self {
        Self {
            workload,
            arm,
            figure,
            at_most: None,
            beside: None,
            either: false,
        }
    }

    const fn p50(workload: &'static str, arm: &'static str, at_most: f64) -> Self {
        Self {
            at_most: Some(at_most),
            ..Self::new(workload, arm, P50)
        }
    }

    const fn beside(self, arm: &'static str, factor: f64) -> Self {
        Self {
            beside: Some((arm, factor)),
            ..self
        }
    }

    const fn or_beside(self, arm: &'static str, factor: f64) -> Self {
        Self {
            either: true,
            ..self.beside(arm, factor)
        }
    }
}

/// The budget, with every trace sampled unless an arm states another percentage.
const LIMITS: &[Limit] = &[
    Limit::p50("100 µs of work", TRACING, 2.0).beside(TRACING_YARDSTICK, 0.9),
    Limit::p50("100 µs of work", RECORD, 1.5).beside(RECORD_YARDSTICK, 1.25),
    Limit::p50("100 µs of work", DIRECT, 2.5),
    Limit::p50("100 µs of work", METRICS, 0.8),
    Limit::p50("SQLite query", RECORD, 4.5).or_beside(RECORD_YARDSTICK, 1.25),
    Limit::p50("SQLite query", TRACING, 6.5).or_beside(TRACING_YARDSTICK, 0.9),
    Limit::p50("hello", METRICS, 2.5),
    Limit::p50("hello", RECORD, 6.5).beside(RECORD_YARDSTICK, 1.25),
    Limit::p50("hello", TRACING, 9.0).beside(TRACING_YARDSTICK, 0.9),
    Limit {
        at_most: Some(25.0),
        ..Limit::new("hello, 16 connections", RECORD, PROCESS)
    },
    Limit {
        at_most: Some(40.0),
        ..Limit::new("hello, 16 connections", TRACING, PROCESS)
    },
    Limit::new("hello, 16 connections", "record + metrics@10", PROCESS).beside(RECORD, 0.4),
    Limit::new("hello, 16 connections", "tracing + metrics@10", PROCESS).beside(TRACING, 0.4),
    Limit::p50("100 µs of work", "record + metrics, keep@10", 2.0).beside(RECORD, 1.1),
    Limit::p50("100 µs of work", "tracing + metrics@10", 2.0).beside(TRACING, 1.1),
];

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Met,
    Missed,
    /// The yardstick misses it, too.
    AtItsLimit,
    Unknown,
}

impl Check {
    const fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "not met",
            Self::AtItsLimit => "not met, nor by the yardstick",
            Self::Unknown => "undecided: run longer",
        }
    }
}

/// Returns the multiple of one cost that another one is.
fn factor(cost: Estimate, other: Estimate) -> Estimate {
    let divided = |by: f64, cost: f64| match by > 0.0 {
        true => cost / by,
        false => f64::INFINITY,
    };
    Estimate {
        median: divided(other.median, cost.median),
        low: divided(other.high, cost.low),
        high: divided(other.low, cost.high),
    }
}

fn check(limit: &Limit, samples: &Samples) -> (Estimate, Option<Estimate>, Check) {
    let added = |arm| samples.added(limit.workload, arm, limit.figure);
    let cost = added(limit.arm);
    let factor = limit.beside.map(|(arm, _)| factor(cost, added(arm)));
    let absolute = limit.at_most.map(|at_most| Verdict::of(cost, at_most));
    let relative = limit.beside.zip(factor);
    let relative = relative.map(|((_, most), factor)| Verdict::of(factor, most));
    let is_under = |verdict: Option<Verdict>| verdict == Some(Verdict::Under);
    let is_over = |verdict: Option<Verdict>| verdict == Some(Verdict::Over);
    let (is_met, is_missed) = match limit.either {
        true => (
            is_under(absolute) || is_under(relative),
            is_over(absolute) && is_over(relative),
        ),
        false => (
            absolute.is_none_or(|verdict| verdict == Verdict::Under)
                && relative.is_none_or(|verdict| verdict == Verdict::Under),
            is_over(absolute) || is_over(relative),
        ),
    };
    let yardstick = limit.beside.filter(|(arm, _)| arm.starts_with("yardstick"));
    let yardstick_misses = yardstick
        .zip(limit.at_most)
        .is_some_and(|((arm, _), most)| added(arm).median >= most);
    let is_at_limit = yardstick_misses && !is_over(relative);
    let check = match (is_met, is_missed) {
        (true, _) => Check::Met,
        (false, true) if is_at_limit => Check::AtItsLimit,
        (false, true) => Check::Missed,
        (false, false) => Check::Unknown,
    };
    (cost, factor, check)
}

/// Prints the figures of each workload, with its control.
pub fn report_figures(arms: &[&'static str], samples: &Samples, markdown: bool) {
    for workload in WORKLOADS {
        let figures = figures(workload);
        println!(
            "\n{}: over the bare server, in per cent [95 % interval]\n",
            workload.name
        );
        let mut table = match figures {
            [one] => Table::new(["arm", one.name]),
            _ => Table::new(["arm", SERVING.name, PROCESS.name]),
        };
        for arm in arms {
            let cell = |figure: &Figure| match *arm {
                BARE => format!(
                    "{:.2} µs",
                    samples.bare(workload.name, *figure).median * 1e6
                ),
                arm => format!("{:+.2}", samples.added(workload.name, arm, *figure)),
            };
            match figures {
                [one, two] => table.row([(*arm).to_owned(), cell(one), cell(two)]),
                _ => table.row([(*arm).to_owned(), cell(&P50)]),
            }
        }
        table.print(markdown);
    }
}

/// Prints the budget and the verdict. Returns 0 if the budget holds, 1 if a limit is exceeded that a yardstick reaches or
/// that has none, 4 if the yardstick exceeds all exceeded limits, and 2 if the measurement is too noisy for a verdict.
pub fn report(samples: &Samples, markdown: bool) -> i32 {
    println!("\nThe budget:\n");
    let heading = [
        "workload", "arm", "figure", "per cent", "at most", "multiple", "of", "at most", "verdict",
    ];
    let mut table = Table::new(heading);
    let mut checks = Vec::new();
    for limit in LIMITS {
        let (cost, factor, check) = check(limit, samples);
        checks.push(check);
        let factor = factor.map(|factor| format!("{factor:.2}"));
        let (beside, most) = limit.beside.unzip();
        table.row([
            limit.workload.to_owned(),
            limit.arm.to_owned(),
            limit.figure.name.to_owned(),
            format!("{cost:+.2}"),
            limit
                .at_most
                .map_or_else(String::new, |most| most.to_string()),
            factor.unwrap_or_default(),
            beside.unwrap_or_default().to_owned(),
            most.map_or_else(String::new, |most| {
                let or = if limit.either { "or " } else { "" };
                format!("{or}{most}")
            }),
            check.text().to_owned(),
        ]);
    }
    table.print(markdown);
    let (text, code) = verdict(&checks);
    println!("\n{text}");
    code
}

fn verdict(checks: &[Check]) -> (&'static str, i32) {
    let any = |check| checks.contains(&check);
    if any(Check::Missed) {
        ("The budget does not hold.", 1)
    } else if any(Check::Unknown) {
        (
            "This machine cannot tell whether the budget holds: run longer.",
            2,
        )
    } else if any(Check::AtItsLimit) {
        (
            "The budget does not hold, and the yardsticks do not meet it either.",
            4,
        )
    } else {
        ("The budget holds.", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{BARE_AGAIN, tests::samples};

    const ARMS: &[&str] = &[BARE, BARE_AGAIN, RECORD, RECORD_YARDSTICK];
    const LIMIT: Limit = Limit::p50("hello", RECORD, 2.0).beside(RECORD_YARDSTICK, 1.25);

    fn checked(limit: &Limit, record: f64, yardstick: f64) -> Check {
        let samples = samples(ARMS, |_, arm| match arm {
            RECORD => 100.0 + record,
            RECORD_YARDSTICK => 100.0 + yardstick,
            _ => 100.0,
        });
        check(limit, &samples).2
    }

    #[test]
    fn a_limit_is_met_below_its_maximum_and_its_multiple() {
        assert_eq!(checked(&LIMIT, 1.9, 1.6), Check::Met);
        assert_eq!(checked(&LIMIT, 1.9, 1.5), Check::Missed);
        assert_eq!(checked(&LIMIT, 2.1, 1.9), Check::Missed);
        assert_eq!(checked(&LIMIT, 2.5, 2.1), Check::AtItsLimit);
        assert_eq!(checked(&LIMIT, 2.7, 2.1), Check::Missed);
    }

    #[test]
    fn one_of_two_maxima_can_suffice() {
        let limit = Limit {
            either: true,
            ..LIMIT
        };
        assert_eq!(checked(&limit, 1.9, 1.0), Check::Met);
        assert_eq!(checked(&limit, 3.0, 2.9), Check::Met);
        assert_eq!(checked(&limit, 3.0, 1.0), Check::Missed);
    }

    #[test]
    fn a_budget_holds_if_every_limit_is_met() {
        use Check::{AtItsLimit, Met, Missed, Unknown};
        for (checks, code) in [
            (&[Met, Met][..], 0),
            (&[Met, Missed, Unknown, AtItsLimit], 1),
            (&[Met, Unknown, AtItsLimit], 2),
            (&[Met, AtItsLimit], 4),
        ] {
            assert_eq!(verdict(checks).1, code, "{checks:?}");
        }
    }
}
