//! What watching may cost, and whether it does not cost more.

use std::collections::BTreeMap;

use crate::{
    report::Table,
    stats::{Estimate, estimate},
};

/// One way to put load on a server.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What it is called in tables.
    pub name: &'static str,
    /// What is asked for.
    pub path: &'static str,
    /// On how many connections at once.
    pub connections: usize,
    /// How many requests are one block.
    pub requests: usize,
    /// How many blocks a server gets in a launch.
    pub rounds: usize,
}

/// What a request takes where there is one at a time: nothing to do, a loop, a query. And what it
/// costs the server where there are as many as it can take.
///
/// Blocks of one request at a time are short, because a processor that changes its pace does so from
/// one block to the next, however long they are: many blocks say more than long ones.
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

/// What one arm may add to the median of one workload, in per cent. The upper end of the interval
/// has to stay below.
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

/// One block. All in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The median time of a request.
    pub p50: f64,
    /// Processor time of the serving thread, for each request.
    pub serving: f64,
    /// Processor time of the process, exporting included, for each request.
    pub process: f64,
}

/// By workload and arm: launches, and their rounds.
pub type Samples = BTreeMap<(&'static str, &'static str), Vec<Vec<Sample>>>;

/// Which figure of a sample.
#[derive(Clone, Copy, Debug)]
struct Figure {
    name: &'static str,
    of: fn(&Sample) -> f64,
    /// How far the second bare server may seem to be from the first.
    noise: f64,
}

const P50: Figure = Figure {
    name: "p50",
    of: |sample| sample.p50,
    noise: 0.005,
};

const SERVING: Figure = Figure {
    name: "CPU of serving",
    of: |sample| sample.serving,
    noise: 0.015,
};

const PROCESS: Figure = Figure {
    name: "CPU with export",
    of: |sample| sample.process,
    noise: 0.015,
};

/// One at a time shows how long a request takes; many show what it costs.
fn figures(workload: &Workload) -> &'static [Figure] {
    match workload.connections {
        1 => &[P50],
        _ => &[SERVING, PROCESS],
    }
}

fn ratio(samples: &Samples, workload: &'static str, arm: &'static str, of: Figure) -> Estimate {
    let (arm, bare) = (&samples[&(workload, arm)], &samples[&(workload, "bare")]);
    let launches = arm.iter().zip(bare).map(|(arm, bare)| {
        let rounds = arm.iter().zip(bare);
        rounds
            .map(|(arm, bare)| (of.of)(arm) / (of.of)(bare))
            .collect()
    });
    estimate(&launches.collect::<Vec<Vec<f64>>>())
}

fn counts(samples: &Samples, workload: &'static str, of: Figure) -> bool {
    let control = ratio(samples, workload, "bare again", of);
    control.contains(1.0) && control.low >= 1.0 - of.noise && control.high <= 1.0 + of.noise
}

fn per_cent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

/// Prints all figures, and what they say of the budget: 0 if it is kept, 1 if it is broken, 2 if
/// two servers that are the same seemed too different to tell.
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
            let cell = |of: &Figure| match *arm {
                "bare" => {
                    let launches = &samples[&(workload.name, "bare")];
                    let seconds: Vec<Vec<f64>> = launches
                        .iter()
                        .map(|rounds| rounds.iter().map(of.of).collect())
                        .collect();
                    format!("{:.2} µs", estimate(&seconds).median * 1e6)
                }
                arm => format!(
                    "{:+.2}",
                    ratio(samples, workload.name, arm, *of).map(per_cent)
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
            if !counts(samples, workload.name, *figure) {
                println!("\n{}: does not count, the bare servers differ", figure.name);
            }
        }
    }
    verdict(samples, markdown)
}

fn verdict(samples: &Samples, markdown: bool) -> i32 {
    println!("\nThe budget, for p50:\n");
    let mut table = Table::new(["workload", "arm", "per cent", "at most", "verdict"]);
    let (mut broken, mut restless) = (false, false);
    for (workload, arm, limit) in LIMITS {
        let cost = ratio(samples, workload, arm, P50).map(per_cent);
        let verdict = match (counts(samples, workload, P50), cost.high < *limit) {
            (false, _) => {
                restless = true;
                "does not count"
            }
            (true, true) => "met",
            (true, false) => {
                broken = true;
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
    match (broken, restless) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}
