//! The workloads of `overhead`, their samples, and the comparison of an arm with the bare server.

use std::collections::BTreeMap;

use crate::stats::{Estimate, estimate};

/// The arm that the others are compared with.
pub const BARE: &str = "bare";

/// The control: a second bare server.
pub const BARE_AGAIN: &str = "bare again";

/// A kind of load on a server.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The name in tables.
    pub name: &'static str,
    /// The requested path.
    pub path: &'static str,
    /// The time that the handler works, if that is fixed.
    pub micros: Option<u32>,
    /// The number of concurrent connections.
    pub connections: usize,
    /// The number of requests in a block.
    pub requests: usize,
    /// The number of blocks for each server in a launch.
    pub rounds: usize,
}

impl Workload {
    const fn new(name: &'static str, path: &'static str) -> Self {
        Self {
            name,
            path,
            micros: None,
            connections: 1,
            requests: 50,
            rounds: 240,
        }
    }

    const fn works(name: &'static str, path: &'static str, micros: u32) -> Self {
        Self {
            micros: Some(micros),
            ..Self::new(name, path)
        }
    }

    const fn blocks(self, requests: usize, rounds: usize) -> Self {
        Self {
            requests,
            rounds,
            ..self
        }
    }

    const fn connections(self, connections: usize) -> Self {
        Self {
            connections,
            ..self
        }
    }
}

/// The workloads: a minimal handler, loops of three durations, and a query.
///
/// Blocks on one connection are short, because the clock rate of a processor changes between blocks: many
/// short blocks give a narrower interval than few long ones.
pub const WORKLOADS: &[Workload] = &[
    Workload::new("hello", "/users/7").blocks(50, 600),
    Workload::new("hello, 16 connections", "/users/7")
        .connections(16)
        .blocks(1000, 80),
    Workload::works("25 µs of work", "/work/25", 25).blocks(40, 320),
    Workload::works("100 µs of work", "/work/100", 100).blocks(25, 320),
    Workload::works("1 ms of work", "/work/1000", 1000).blocks(8, 120),
    Workload::new("SQLite query", "/shelves/7").blocks(50, 240),
];

/// The smallest and the largest number of connections. A block has at most as many requests as the export queue has places.
pub const CONNECTIONS: &[Workload] = &[
    Workload::new("2 connections", "/users/7")
        .connections(2)
        .blocks(512, 60),
    Workload::new("512 connections", "/users/7")
        .connections(512)
        .blocks(1024, 60),
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

/// A figure of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The name in tables.
    pub name: &'static str,
    value: fn(&Sample) -> f64,
}

/// The median latency, with one connection.
pub const P50: Figure = Figure {
    name: "p50",
    value: |sample| sample.p50,
};

/// The CPU time without the export.
pub const SERVING: Figure = Figure {
    name: "CPU of serving",
    value: |sample| sample.serving,
};

/// The CPU time with the export.
pub const PROCESS: Figure = Figure {
    name: "CPU with export",
    value: |sample| sample.process,
};

/// Returns the figures of a workload: the latency with one connection, the CPU time with many.
pub const fn figures(workload: &Workload) -> &'static [Figure] {
    match workload.connections {
        1 => &[P50],
        _ => &[SERVING, PROCESS],
    }
}

/// The samples by workload and arm: launches, and their rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples(BTreeMap<(&'static str, &'static str), Vec<Vec<Sample>>>);

impl Samples {
    /// Begins a launch of all arms.
    pub fn begin_launch(&mut self, arms: &[&'static str]) {
        for workload in WORKLOADS.iter().chain(CONNECTIONS) {
            for arm in arms {
                let launches = self.0.entry((workload.name, *arm)).or_default();
                launches.push(Vec::new());
            }
        }
    }

    /// Adds a sample to the last launch.
    pub fn add(&mut self, workload: &Workload, arm: &'static str, sample: Sample) {
        let launches = self.0.entry((workload.name, arm)).or_default();
        launches.last_mut().unwrap().push(sample);
    }

    fn values(&self, workload: &'static str, arm: &'static str, figure: Figure) -> Vec<Vec<f64>> {
        let launches = self.0[&(workload, arm)].iter();
        launches
            .map(|rounds| rounds.iter().map(figure.value).collect())
            .collect()
    }

    /// Returns what an arm adds to a figure of another one, in seconds: launches, and their rounds.
    pub fn differences(
        &self,
        workload: &'static str,
        (arm, other): (&'static str, &'static str),
        figure: Figure,
    ) -> Vec<Vec<f64>> {
        let arm = self.values(workload, arm, figure);
        let other = self.values(workload, other, figure);
        let launches = arm.iter().zip(&other).map(|(arm, other)| {
            let rounds = arm.iter().zip(other);
            rounds.map(|(arm, other)| arm - other).collect()
        });
        launches.collect()
    }

    /// Returns a figure of the bare server, in seconds.
    pub fn bare(&self, workload: &'static str, figure: Figure) -> Estimate {
        estimate(&self.values(workload, BARE, figure))
    }

    /// Returns what an arm adds to a figure of the bare server, in per cent. The interval is widened by the difference
    /// between the two bare servers, because other arms may differ by as much for the same reason.
    pub fn added(&self, workload: &'static str, arm: &'static str, figure: Figure) -> Estimate {
        let off = match arm {
            BARE_AGAIN => 0.0,
            _ => self.ratio(workload, BARE_AGAIN, figure).median.abs(),
        };
        let added = self.ratio(workload, arm, figure);
        Estimate {
            low: added.low - off,
            high: added.high + off,
            ..added
        }
    }

    fn ratio(&self, workload: &'static str, arm: &'static str, figure: Figure) -> Estimate {
        let arm = self.values(workload, arm, figure);
        let bare = self.values(workload, BARE, figure);
        let launches = arm.iter().zip(bare).map(|(arm, bare)| {
            let rounds = arm.iter().zip(bare);
            rounds.map(|(arm, bare)| arm / bare).collect()
        });
        let ratio = estimate(&launches.collect::<Vec<Vec<f64>>>());
        ratio.map(|ratio| (ratio - 1.0) * 100.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns samples whose figures are all the same time, by workload and arm.
    pub(crate) fn samples(
        arms: &[&'static str],
        seconds: impl Fn(&Workload, &str) -> f64,
    ) -> Samples {
        let mut samples = Samples::default();
        for _ in 0..3 {
            samples.begin_launch(arms);
            for workload in WORKLOADS {
                for arm in arms {
                    let p50 = seconds(workload, arm);
                    let sample = Sample {
                        p50,
                        serving: p50,
                        process: p50,
                    };
                    (0..5).for_each(|_| samples.add(workload, arm, sample));
                }
            }
        }
        samples
    }

    #[test]
    fn the_difference_of_the_bare_servers_widens_the_intervals_of_other_arms() {
        let samples = samples(&[BARE, BARE_AGAIN, "metrics"], |_, arm| match arm {
            BARE => 100.0,
            BARE_AGAIN => 99.0,
            _ => 103.0,
        });
        let control = samples.added("hello", BARE_AGAIN, P50);
        assert_eq!(format!("{control:.1}"), "-1.0 [-1.0, -1.0]");
        let added = samples.added("hello", "metrics", P50);
        assert_eq!(format!("{added:.1}"), "3.0 [2.0, 4.0]");
    }
}
