//! The cost of a root span, an inner span and an event of `tracing`, with different recorders.
//!
//! `cargo bench -p tower-otel-benches --bench spans [-- --quick] [-- --markdown]`
//!
//! Exit code 1: a target is missed. 2: the measurement is too noisy. 3: an arm recorded other spans than its program has. 4: a
//! target is missed, and the reference arm ("yardstick") also misses it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use allocation_tests::CountingAllocator;
use tower_otel_benches::{
    exchange::Cost,
    report::Table,
    span_arms as arms,
    span_programs::{Program, REPEATS},
    stats::{Estimate, estimate},
    workers::{self, Effort, Key, Measurement, flag},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const THREADS: [usize; 2] = [1, 2];

/// The maximum cost that the recorder adds to the registry, relative to the cost that tracing-opentelemetry adds. The upper end
/// of the interval must be below it.
const TARGETS: [(Program, f64); 2] = [(Program::Root, 1.0 / 3.0), (Program::InnerSpans, 0.4)];

/// The maximum difference from 1 of the ratio of the recorder to itself.
const NOISE: f64 = 0.05;

/// Separates the arm from the program in the name of a worker.
const SEPARATOR: &str = " / ";

fn worker(arm: &str, program: Program) -> &'static str {
    format!("{arm}{SEPARATOR}{}", program.name()).leak()
}

fn main() {
    if let Some(text) = workers::worker_arm() {
        let (arm, program) = text.split_once(SEPARATOR).unwrap();
        let mut programs = Program::ALL.into_iter();
        let program = programs.find(|known| known.name() == program).unwrap();
        return workers::run_worker(&*arms::install(arm, program), || 0);
    }
    let effort = Effort {
        launches: if flag("--quick") { 3 } else { 8 },
        rounds: if flag("--quick") { 15 } else { 40 },
        exchanges: 1024,
    };
    let workers: Vec<_> = arms::ALL
        .iter()
        .flat_map(|arm| Program::ALL.map(|program| (worker(arm, program), *arm, program)))
        .collect();
    let keys: Vec<Key> = workers
        .iter()
        .flat_map(|(worker, ..)| THREADS.map(|threads| (*worker, threads)))
        .collect();
    let measurement = workers::measure_arms(&keys, effort);
    let wrong = workers.iter().filter(|(worker, arm, program)| {
        let expected = if arms::exports(arm) {
            program.spans()
        } else {
            0
        };
        measurement.recorded[worker].spans != expected as f64
    });
    let wrong: Vec<_> = wrong.map(|(worker, ..)| *worker).collect();
    let results = Results(measurement);
    for threads in THREADS {
        results.print(threads);
    }
    let code = results.verdict();
    if !wrong.is_empty() {
        println!("\nThe number of spans is wrong: {}", wrong.join(", "));
        std::process::exit(3);
    }
    std::process::exit(code);
}

/// A number for each round of each launch.
type Rounds = Vec<Vec<f64>>;

struct Results(Measurement);

impl Results {
    /// Returns a cost of a program.
    fn whole(&self, arm: &str, program: Program, threads: usize, cost: fn(&Cost) -> f64) -> Rounds {
        let launches = &self.0.costs[&(worker(arm, program), threads)];
        let rounds = |rounds: &Vec<Cost>| rounds.iter().map(cost).collect();
        launches.iter().map(rounds).collect()
    }

    /// Returns the cost of one root span, one inner span or one event.
    fn one(&self, arm: &str, program: Program, threads: usize, cost: fn(&Cost) -> f64) -> Rounds {
        let whole = self.whole(arm, program, threads, cost);
        if program == Program::Root {
            return whole;
        }
        let root = self.whole(arm, Program::Root, threads, cost);
        combine(&whole, &root, |whole, root| (whole - root) / REPEATS as f64)
    }

    /// Returns the CPU time that an arm adds to the registry without layers.
    fn added(&self, arm: &str, program: Program, threads: usize) -> Rounds {
        let nanos = |arm| self.one(arm, program, threads, |cost| cost.nanos);
        combine(&nanos(arm), &nanos(arms::REGISTRY), |arm, registry| {
            arm - registry
        })
    }

    /// Returns the ratio of the costs that two arms add to the registry.
    fn ratio(&self, arm: &str, other: &str, program: Program, threads: usize) -> Estimate {
        let (arm, other) = (
            self.added(arm, program, threads),
            self.added(other, program, threads),
        );
        estimate(&combine(&arm, &other, |arm, other| arm / other))
    }

    fn print(&self, threads: usize) {
        for program in Program::ALL {
            println!("\nOne {}, threads: {threads}\n", program.name());
            let mut table = Table::new([
                "recorded by",
                "ns",
                "over the registry",
                "of tracing-opentelemetry",
                "allocations",
            ]);
            for arm in arms::ALL {
                let nanos = estimate(&self.one(arm, program, threads, |cost| cost.nanos));
                let allocations = self.one(arm, program, threads, |cost| cost.allocations);
                let uses_registry = ![arms::NONE, arms::REGISTRY, arms::FASTRACE].contains(&arm);
                let over = |text: &dyn Fn() -> String| match uses_registry {
                    true => text(),
                    false => String::new(),
                };
                table.row([
                    arm.to_owned(),
                    nanos.to_string(),
                    over(&|| estimate(&self.added(arm, program, threads)).to_string()),
                    over(&|| {
                        let other = arms::TRACING_OPENTELEMETRY;
                        format!("{:.2}", self.ratio(arm, other, program, threads))
                    }),
                    format!("{:.1}", estimate(&allocations).median),
                ]);
            }
            table.print(flag("--markdown"));
        }
    }

    fn verdict(&self) -> i32 {
        println!(
            "\nWhat the recorder adds to the registry, as a part of what tracing-opentelemetry adds:\n"
        );
        let mut table = Table::new([
            "",
            "threads",
            "part",
            "at most",
            "yardstick",
            "of the yardstick",
            "control",
            "verdict",
        ]);
        let (mut missed, mut out_of_reach, mut noisy) = (false, false, false);
        for threads in THREADS {
            for (program, limit) in TARGETS {
                let ratio = self.ratio(
                    arms::RECORDER,
                    arms::TRACING_OPENTELEMETRY,
                    program,
                    threads,
                );
                let control = self.ratio(arms::RECORDER_AGAIN, arms::RECORDER, program, threads);
                let is_quiet = (control.median - 1.0).abs() <= NOISE;
                let yardstick =
                    self.ratio(arms::COMPACT, arms::TRACING_OPENTELEMETRY, program, threads);
                let factor = self.ratio(arms::RECORDER, arms::COMPACT, program, threads);
                let is_met = ratio.high <= limit;
                let is_out_of_reach = yardstick.median > limit;
                missed |= is_quiet && !is_met && !is_out_of_reach;
                out_of_reach |= is_quiet && !is_met && is_out_of_reach;
                noisy |= !is_quiet;
                table.row([
                    program.name().to_owned(),
                    threads.to_string(),
                    format!("{ratio:.3}"),
                    format!("{limit:.3}"),
                    format!("{yardstick:.3}"),
                    format!("{factor:.2}"),
                    format!("{control:.3}"),
                    match (is_quiet, is_met, is_out_of_reach) {
                        (false, ..) => "unreliable",
                        (true, true, _) => "met",
                        (true, false, true) => "not met, and out of reach of the yardstick",
                        (true, false, false) => "not met",
                    }
                    .to_owned(),
                ]);
            }
        }
        table.print(flag("--markdown"));
        match (missed, noisy, out_of_reach) {
            (true, ..) => 1,
            (false, true, _) => 2,
            (false, false, true) => 4,
            (false, false, false) => 0,
        }
    }
}

fn combine(one: &Rounds, other: &Rounds, combine: impl Fn(f64, f64) -> f64) -> Rounds {
    let launches = one.iter().zip(other);
    let rounds = |(one, other): (&Vec<f64>, &Vec<f64>)| {
        let rounds = one.iter().zip(other);
        rounds.map(|(one, other)| combine(*one, *other)).collect()
    };
    launches.map(rounds).collect()
}
