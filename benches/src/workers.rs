//! Workers in processes of their own, and the turns they take.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    exchange::{Cost, Subject, side_by_side},
    recorded,
    stats::{Estimate, estimate},
};

/// How a worker is started: this very program with `--arm` and a name.
const ARM: &str = "--arm";

/// What follows a flag on the command line.
pub fn argument(flag: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != flag).nth(1)
}

/// Whether a flag is on the command line.
pub fn flag(flag: &str) -> bool {
    env::args().any(|argument| argument == flag)
}

/// The name of the arm that this process is to be, if it is a worker.
pub fn arm() -> Option<String> {
    argument(ARM)
}

/// Lives as a worker: takes turns of so many exchanges on so many threads, until it is left alone.
/// Then it says how many exchanges there were, and how many spans and samples of them.
pub fn work(subject: &dyn Subject, samples: fn() -> u64) {
    let before = (recorded::spans(), samples());
    let mut total = 0;
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let (threads, exchanges) = line.split_once(' ').unwrap();
        let (threads, exchanges): (usize, usize) =
            (threads.parse().unwrap(), exchanges.parse().unwrap());
        let cost = side_by_side(subject, threads, exchanges);
        total += threads * exchanges;
        println!("{} {}", cost.nanos, cost.allocations);
        stdout().flush().unwrap();
    }
    let (spans, samples) = (recorded::spans() - before.0, samples() - before.1);
    println!("{total} {spans} {samples}");
}

/// A process that talks by lines, and ends when nobody talks to it any more.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// This program again, told to be something else.
    pub fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        // What is measured is what is written here, whatever the environment asks for.
        let variables = env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("OTEL_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for its next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "a worker has died");
        line.trim_end().to_owned()
    }

    /// Leaves it alone, and waits for its last lines, if it has any, and its end.
    pub fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let last = self.output.by_ref().lines().collect::<Result<_, _>>();
        assert!(self.child.wait().unwrap().success(), "a worker has failed");
        last.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// One line of a table: an arm beside the one it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is watched, and how.
    pub arm: &'static str,
    /// The same without what is measured.
    pub baseline: &'static str,
    /// On how many threads at once.
    pub threads: usize,
}

/// What a case came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// Nanoseconds over the baseline.
    pub nanos: Estimate,
    /// Allocations over the baseline.
    pub allocations: f64,
    /// What the arm recorded of an exchange.
    pub recorded: Recorded,
    /// Nanoseconds over the baseline, of each round of each launch.
    rounds: Vec<Vec<f64>>,
}

/// How far the same thing may seem to be from itself, in nanoseconds.
const NOISE: f64 = 15.0;

impl Outcome {
    /// Whether figures count, where this is what the same thing costs over itself.
    pub fn is_quiet(&self) -> bool {
        let Estimate { low, high, .. } = self.nanos;
        self.nanos.contains(0.0) && low >= -NOISE && high <= NOISE
    }

    /// How many times as much another one costs.
    pub fn ratio(&self, other: &Self) -> Estimate {
        let launches = self.rounds.iter().zip(&other.rounds);
        let ratios = launches.map(|(of, others)| {
            let rounds = of.iter().zip(others);
            rounds.map(|(of, other)| other / of).collect()
        });
        estimate(&ratios.collect::<Vec<_>>())
    }
}

/// What is recorded of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recorded {
    /// Spans that came to the exporter.
    pub spans: f64,
    /// Values in histograms.
    pub samples: f64,
}

impl Recorded {
    fn parse(line: &str) -> Self {
        let mut numbers = line.split(' ').map(|number| number.parse::<f64>().unwrap());
        let mut next = || numbers.next().unwrap();
        let exchanges = next();
        Self {
            spans: next() / exchanges,
            samples: next() / exchanges,
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often all workers are started anew.
    pub launches: usize,
    /// How many turns each worker has in a launch.
    pub rounds: usize,
    /// How many exchanges a turn has.
    pub exchanges: usize,
}

type Key = (&'static str, usize);

/// Measures all cases, side by side.
pub fn measure(cases: &[Case], effort: Effort) -> Vec<Outcome> {
    let mut keys: Vec<Key> = cases
        .iter()
        .flat_map(|case| [(case.arm, case.threads), (case.baseline, case.threads)])
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut costs: BTreeMap<Key, Vec<Vec<Cost>>> = BTreeMap::new();
    let mut recorded = BTreeMap::new();
    for _ in 0..effort.launches {
        let (launch, of_launch) = launch(&keys, effort);
        for (key, launch) in launch {
            costs.entry(key).or_default().push(launch);
        }
        recorded = of_launch;
    }
    let outcome = |case: &Case| {
        let (arm, baseline) = (
            &costs[&(case.arm, case.threads)],
            &costs[&(case.baseline, case.threads)],
        );
        let over = |of: fn(&Cost) -> f64| -> Vec<Vec<f64>> {
            let launches = arm.iter().zip(baseline);
            let over = launches.map(|(arm, baseline)| {
                let rounds = arm.iter().zip(baseline);
                rounds.map(|(arm, base)| of(arm) - of(base)).collect()
            });
            over.collect()
        };
        let rounds = over(|cost| cost.nanos);
        Outcome {
            case: *case,
            nanos: estimate(&rounds),
            allocations: estimate(&over(|cost| cost.allocations)).median,
            recorded: recorded[case.arm],
            rounds,
        }
    };
    cases.iter().map(outcome).collect()
}

type Launch = (BTreeMap<Key, Vec<Cost>>, BTreeMap<&'static str, Recorded>);

/// All workers alive, each round in an order of its own.
fn launch(keys: &[Key], effort: Effort) -> Launch {
    let mut workers: BTreeMap<&'static str, Process> = keys
        .iter()
        .map(|(arm, _)| (*arm, Process::start([ARM, arm])))
        .collect();
    let mut costs: BTreeMap<Key, Vec<Cost>> = BTreeMap::new();
    let mut order = keys.to_vec();
    // The first rounds fill caches and tables.
    for round in 0..effort.rounds + 3 {
        fastrand::shuffle(&mut order);
        for key in &order {
            let (arm, threads) = key;
            let worker = workers.get_mut(arm).unwrap();
            worker.say(&format!("{threads} {}", effort.exchanges));
            let line = worker.line();
            let (nanos, allocations) = line.split_once(' ').unwrap();
            if round >= 3 {
                costs.entry(*key).or_default().push(Cost {
                    nanos: nanos.parse().unwrap(),
                    allocations: allocations.parse().unwrap(),
                });
            }
        }
    }
    let recorded = workers.into_iter().map(|(arm, worker)| {
        let said = worker.finish().concat();
        (arm, Recorded::parse(&said))
    });
    (costs, recorded.collect())
}
