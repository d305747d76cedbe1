//! The load test, which measures the cost of telemetry for this system. Two systems without telemetry and one with telemetry run
//! at the same time, and are measured in turns.

mod connection;
mod open_loop;
mod processes;
mod progress;
mod quantiles;
mod report;
mod requests;
mod system;

use std::{process::ExitCode, thread};

use tokio::runtime::Runtime;

use crate::BoxError;
use open_loop::OpenLoop;
use processes::{Collector, Processors};
use progress::Progress;
use quantiles::{Block, Launch};
use report::Comparison;
use requests::{KINDS, Kind};
use system::System;

pub(crate) use processes::{RUN_FLAG, run_service};

/// The measured systems: the baseline, a second baseline as a control, and the system with telemetry.
const WITH_TELEMETRY: [bool; 3] = [false, false, true];

/// The size of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// The number of times that all systems are started.
    launches: usize,
    /// The number of rounds of a launch. In each round, every kind of request is sent to every system.
    rounds: usize,
}

impl Effort {
    /// The full measurement. On a quiet machine, its intervals are narrow enough for a verdict.
    pub(crate) const FULL: Self = Self {
        launches: 10,
        rounds: 3,
    };

    /// A short measurement that only shows the form of the report.
    pub(crate) const QUICK: Self = Self {
        launches: 1,
        rounds: 1,
    };
}

/// Measures and prints the report. The exit code is the result of [`report::print`], or 3 after an error.
pub(crate) fn run(effort: Effort) -> ExitCode {
    match measure(effort) {
        Ok(comparisons) => report::print(&comparisons),
        Err(error) => {
            eprintln!("property-management: load: {error}");
            ExitCode::from(3)
        }
    }
}

fn measure(effort: Effort) -> Result<Vec<Comparison>, BoxError> {
    let processors = Processors::available()?;
    let runtime = Runtime::new()?;
    let mut comparisons: Vec<_> = KINDS.iter().map(Comparison::new).collect();
    let mut progress = Progress::new(effort.launches * (effort.rounds + 1));
    for _ in 0..effort.launches {
        let mut collector = Collector::start(&processors)?;
        let mut systems = [None, None, None];
        for at in random_order() {
            if let (Some(slot), Some(has_telemetry)) = (systems.get_mut(at), WITH_TELEMETRY.get(at))
            {
                let endpoint = has_telemetry.then(|| collector.endpoint());
                *slot = Some(runtime.block_on(System::start(endpoint, &processors))?);
            }
        }
        let mut systems: Vec<System> = systems.into_iter().flatten().collect();
        for comparison in &mut comparisons {
            comparison.launches.push(Launch::default());
        }
        for round in 0..=effort.rounds {
            for comparison in &mut comparisons {
                for _ in 0..comparison.kind.blocks {
                    let block = measure_block(comparison.kind, &mut systems)?;
                    // The first round is a warm-up.
                    if let Some(launch) = comparison.launches.last_mut().filter(|_| round > 0) {
                        launch.push(block);
                    }
                }
            }
            progress.advance();
        }
        drop(systems);
        if collector.received_bytes()? == 0 {
            return Err("the system with telemetry has exported nothing".into());
        }
    }
    Ok(comparisons)
}

/// Sends requests of one kind to all systems, one system after the other in a random order.
fn measure_block(kind: &Kind, systems: &mut [System]) -> Result<Block, BoxError> {
    let mut block = Block::default();
    for at in random_order() {
        if let (Some(system), Some(times)) = (systems.get_mut(at), block.get_mut(at)) {
            let requests = (0..kind.requests).map(|_| system.request(kind)).collect();
            *times = OpenLoop::new(kind.rate).send(&mut system.connections, requests)?;
            // The spans of this block are exported before the next system is measured.
            thread::sleep(2 * system::EXPORT_DELAY);
        }
    }
    Ok(block)
}

fn random_order() -> [usize; 3] {
    let mut order = [0, 1, 2];
    fastrand::shuffle(&mut order);
    order
}
