//! Worker processes, which measure their arms in turns.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    exchange::{Cost, Subject, run_on_threads},
    recorded_counts,
    stats::{Estimate, estimate},
};

/// The flag that starts this program as a worker, followed by the name of the arm.
const ARM_FLAG: &str = "--arm";

/// Returns the command-line argument after a flag.
pub fn argument(flag: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != flag).nth(1)
}

/// Returns whether a flag is on the command line.
pub fn flag(flag: &str) -> bool {
    env::args().any(|argument| argument == flag)
}

/// Returns the name of the arm if this process is a worker.
pub fn worker_arm() -> Option<String> {
    argument(ARM_FLAG)
}

/// Runs a worker. Each input line is a turn, with the numbers of threads and exchanges. After the end of
/// its input, the worker prints the total numbers of exchanges, spans and samples.
pub fn run_worker(subject: &dyn Subject, samples: fn() -> u64) {
    let before = (recorded_counts::spans(), samples());
    let mut total = 0;
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let (threads, exchanges) = line.split_once(' ').unwrap();
        let (threads, exchanges): (usize, usize) =
            (threads.parse().unwrap(), exchanges.parse().unwrap());
        let cost = run_on_threads(subject, threads, exchanges);
        total += threads * exchanges;
        println!("{} {}", cost.nanos, cost.allocations);
        stdout().flush().unwrap();
    }
    let (spans, samples) = (recorded_counts::spans() - before.0, samples() - before.1);
    println!("{total} {spans} {samples}");
}

/// A child process with line-based input and output. It exits at the end of its input.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program with other arguments.
    pub fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        // The environment must not configure the measured telemetry.
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

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to the process.
    pub fn send_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Reads the next line of the process.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "a worker exited early");
        line.trim_end().to_owned()
    }

    /// Closes the input, waits for the exit and returns the last lines.
    pub fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let last = self.output.by_ref().lines().collect::<Result<_, _>>();
        assert!(self.child.wait().unwrap().success(), "a worker failed");
        last.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// An arm and the baseline it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The measured arm.
    pub arm: &'static str,
    /// The arm without the measured layer.
    pub baseline: &'static str,
    /// The number of concurrent threads.
    pub threads: usize,
}

/// The result of a case.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The case.
    pub case: Case,
    /// The added nanoseconds over the baseline.
    pub nanos: Estimate,
    /// The added allocations over the baseline.
    pub allocations: f64,
    /// The recorded spans and samples of an exchange.
    pub recorded: Recorded,
    /// The added nanoseconds over the baseline, for each round of each launch.
    rounds: Vec<Vec<f64>>,
}

/// The maximum difference between two measurements of the same arm, in nanoseconds.
const NOISE: f64 = 15.0;

impl CaseResult {
    /// Returns whether this result of a control is within the noise limit.
    pub fn is_quiet(&self) -> bool {
        let Estimate { low, high, .. } = self.nanos;
        self.nanos.contains(0.0) && low >= -NOISE && high <= NOISE
    }

    /// Returns the ratio of the cost of another case to this one.
    pub fn ratio(&self, other: &Self) -> Estimate {
        let launches = self.rounds.iter().zip(&other.rounds);
        let ratios = launches.map(|(own, other)| {
            let rounds = own.iter().zip(other);
            rounds.map(|(own, other)| other / own).collect()
        });
        estimate(&ratios.collect::<Vec<_>>())
    }
}

/// The recorded spans and samples of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recorded {
    /// Exported spans.
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

/// The size of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The number of times that all workers are started.
    pub launches: usize,
    /// The number of turns of a worker in a launch.
    pub rounds: usize,
    /// The number of exchanges in a turn.
    pub exchanges: usize,
}

/// An arm and its number of threads.
pub type Key = (&'static str, usize);

/// The costs of all arms in the same rounds.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The costs: launches, and their rounds.
    pub costs: BTreeMap<Key, Vec<Vec<Cost>>>,
    /// The recorded spans and samples of an exchange of each arm.
    pub recorded: BTreeMap<&'static str, Recorded>,
}

/// Measures all arms concurrently.
pub fn measure_arms(keys: &[Key], effort: Effort) -> Measurement {
    let mut costs: BTreeMap<Key, Vec<Vec<Cost>>> = BTreeMap::new();
    let mut recorded = BTreeMap::new();
    for _ in 0..effort.launches {
        let (launch, of_launch) = launch(keys, effort);
        for (key, launch) in launch {
            costs.entry(key).or_default().push(launch);
        }
        recorded = of_launch;
    }
    Measurement { costs, recorded }
}

/// Measures all cases concurrently.
pub fn measure(cases: &[Case], effort: Effort) -> Vec<CaseResult> {
    let mut keys: Vec<Key> = cases
        .iter()
        .flat_map(|case| [(case.arm, case.threads), (case.baseline, case.threads)])
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let Measurement { costs, recorded } = measure_arms(&keys, effort);
    let result = |case: &Case| {
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
        CaseResult {
            case: *case,
            nanos: estimate(&rounds),
            allocations: estimate(&over(|cost| cost.allocations)).median,
            recorded: recorded[case.arm],
            rounds,
        }
    };
    cases.iter().map(result).collect()
}

type Launch = (BTreeMap<Key, Vec<Cost>>, BTreeMap<&'static str, Recorded>);

/// Starts all workers and measures them in rounds, each in a random order.
fn launch(keys: &[Key], effort: Effort) -> Launch {
    let mut workers: BTreeMap<&'static str, Process> = keys
        .iter()
        .map(|(arm, _)| (*arm, Process::start([ARM_FLAG, arm])))
        .collect();
    let mut costs: BTreeMap<Key, Vec<Cost>> = BTreeMap::new();
    let mut order = keys.to_vec();
    // The first rounds are a warm-up: they fill caches and tables.
    for round in 0..effort.rounds + 3 {
        fastrand::shuffle(&mut order);
        for key in &order {
            let (arm, threads) = key;
            let worker = workers.get_mut(arm).unwrap();
            worker.send_line(&format!("{threads} {}", effort.exchanges));
            let line = worker.read_line();
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
        let totals = worker.finish().concat();
        (arm, Recorded::parse(&totals))
    });
    (costs, recorded.collect())
}
