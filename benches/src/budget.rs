//! The limits of the overhead, and their check.

use std::collections::BTreeMap;

use crate::{
    report::Table,
    stats::{Estimate, estimate},
};

/// A kind of load on a server.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The name in tables.
    pub name: &'static str,
    /// The requested path.
    pub path: &'static str,
    /// The number of concurrent connections.
    pub connections: usize,
    /// The number of requests in a block.
    pub requests: usize,
    /// The number of blocks for each server in a launch.
    pub rounds: usize,
}

/// The workloads: a minimal handler, a loop and a query, each with one connection for the latency and with
/// 16 connections for the CPU time.
///
/// Blocks on one connection are short, because the clock rate of a processor changes between blocks: many
/// short blocks give a narrower interval than few long ones.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "hello",
        path: "/users/7",
        connections: 1,
        requests: 50,
        rounds: 600,
    },
    Workload {
        name: "hello, 16 connections",
        path: "/users/7",
        connections: 16,
        requests: 1000,
        rounds: 80,
    },
    Workload {
        name: "100 µs of work",
        path: "/work/7",
        connections: 1,
        requests: 25,
        rounds: 320,
    },
    Workload {
        name: "100 µs of work, 16 connections",
        path: "/work/7",
        connections: 16,
        requests: 160,
        rounds: 30,
    },
    Workload {
        name: "SQLite query",
        path: "/shelves/7",
        connections: 1,
        requests: 50,
        rounds: 240,
    },
    Workload {
        name: "SQLite query, 16 connections",
        path: "/shelves/7",
        connections: 16,
        requests: 400,
        rounds: 40,
    },
];

/// The maximum increase of the median of a workload by an arm, in per cent. The upper end of the interval
/// must be below it.
const LIMITS: &[(&str, &str, f64)] = &[
    ("100 µs of work", "direct + metrics", 1.5),
    ("100 µs of work", "record + metrics", 1.5),
    ("100 µs of work", "tracing + metrics", 2.5),
    ("hello", "direct + metrics", 5.0),
    ("hello", "record + metrics", 3.0),
    ("hello", "record + metrics@10", 3.0),
    ("hello", "metrics, around", 1.3),
    ("hello", "metrics", 1.8),
];

/// The measurement of a block, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The median latency of a request.
    pub p50: f64,
    /// The CPU time of the serving thread per request.
    pub serving: f64,
    /// The CPU time of the process per request, including the export.
    pub process: f64,
}

/// The samples by workload and arm: launches, and their rounds.
pub type Samples = BTreeMap<(&'static str, &'static str), Vec<Vec<Sample>>>;

/// A figure of a sample.
#[derive(Clone, Copy, Debug)]
struct Figure {
    name: &'static str,
    value: fn(&Sample) -> f64,
    /// The maximum relative difference between the two bare servers.
    noise: f64,
}

const P50: Figure = Figure {
    name: "p50",
    value: |sample| sample.p50,
    noise: 0.005,
};

const SERVING: Figure = Figure {
    name: "CPU of serving",
    value: |sample| sample.serving,
    noise: 0.015,
};

const PROCESS: Figure = Figure {
    name: "CPU with export",
    value: |sample| sample.process,
    noise: 0.015,
};

/// Returns the figures of a workload: the latency with one connection, the CPU time with many.
fn figures(workload: &Workload) -> &'static [Figure] {
    match workload.connections {
        1 => &[P50],
        _ => &[SERVING, PROCESS],
    }
}

fn ratio(samples: &Samples, workload: &'static str, arm: &'static str, figure: Figure) -> Estimate {
    let (arm, bare) = (&samples[&(workload, arm)], &samples[&(workload, "bare")]);
    let launches = arm.iter().zip(bare).map(|(arm, bare)| {
        let rounds = arm.iter().zip(bare);
        rounds
            .map(|(arm, bare)| (figure.value)(arm) / (figure.value)(bare))
            .collect()
    });
    estimate(&launches.collect::<Vec<Vec<f64>>>())
}

fn is_reliable(samples: &Samples, workload: &'static str, figure: Figure) -> bool {
    let control = ratio(samples, workload, "bare again", figure);
    control.contains(1.0) && control.low >= 1.0 - figure.noise && control.high <= 1.0 + figure.noise
}

fn per_cent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

/// Prints all figures and the verdict. Returns 0 if the budget is met, 1 if it is exceeded, 2 if the two bare
/// servers differ too much.
pub fn report(arms: &[&'static str], samples: &Samples, markdown: bool) -> i32 {
    for workload in WORKLOADS {
        let figures = figures(workload);
        println!(
            "\n{}: over the bare server, in per cent [95 % interval]\n",
            workload.name
        );
        let mut table = match figures {
            [one] => Table::new(["arm", one.name]),
            [one, two, ..] => Table::new(["arm", one.name, two.name]),
            [] => continue,
        };
        for arm in arms {
            let cell = |figure: &Figure| match *arm {
                "bare" => {
                    let launches = &samples[&(workload.name, "bare")];
                    let seconds: Vec<Vec<f64>> = launches
                        .iter()
                        .map(|rounds| rounds.iter().map(figure.value).collect())
                        .collect();
                    format!("{:.2} µs", estimate(&seconds).median * 1e6)
                }
                arm => format!(
                    "{:+.2}",
                    ratio(samples, workload.name, arm, *figure).map(per_cent)
                ),
            };
            match figures {
                [one] => table.row([(*arm).to_owned(), cell(one)]),
                [one, two, ..] => table.row([(*arm).to_owned(), cell(one), cell(two)]),
                [] => {}
            }
        }
        table.print(markdown);
        for figure in figures {
            if !is_reliable(samples, workload.name, *figure) {
                println!("\n{}: unreliable, the bare servers differ", figure.name);
            }
        }
    }
    verdict(samples, markdown)
}

fn verdict(samples: &Samples, markdown: bool) -> i32 {
    println!("\nThe budget, for p50:\n");
    let mut table = Table::new(["workload", "arm", "per cent", "at most", "verdict"]);
    let (mut exceeded, mut noisy) = (false, false);
    for (workload, arm, limit) in LIMITS {
        let cost = ratio(samples, workload, arm, P50).map(per_cent);
        let verdict = match (is_reliable(samples, workload, P50), cost.high < *limit) {
            (false, _) => {
                noisy = true;
                "unreliable"
            }
            (true, true) => "met",
            (true, false) => {
                exceeded = true;
                "not met"
            }
        };
        table.row([
            (*workload).to_owned(),
            (*arm).to_owned(),
            format!("{cost:+.2}"),
            limit.to_string(),
            verdict.to_owned(),
        ]);
    }
    table.print(markdown);
    match (exceeded, noisy) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}
