//! Workers in processes of their own, and the turns they take.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    exchange::{Cost, Subject, side_by_side},
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
pub fn work(subject: &dyn Subject) {
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let (threads, exchanges) = line.split_once(' ').unwrap();
        let (threads, exchanges): (usize, usize) =
            (threads.parse().unwrap(), exchanges.parse().unwrap());
        let cost = side_by_side(subject, threads, exchanges);
        println!("{} {}", cost.nanos, cost.allocations);
        stdout().flush().unwrap();
    }
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
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// Nanoseconds over the baseline.
    pub nanos: Estimate,
    /// Allocations over the baseline.
    pub allocations: f64,
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
    for _ in 0..effort.launches {
        for (key, launch) in launch(&keys, effort) {
            costs.entry(key).or_default().push(launch);
        }
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
        Outcome {
            case: *case,
            nanos: estimate(&over(|cost| cost.nanos)),
            allocations: estimate(&over(|cost| cost.allocations)).median,
        }
    };
    cases.iter().map(outcome).collect()
}

/// All workers alive, each round in an order of its own.
fn launch(keys: &[Key], effort: Effort) -> BTreeMap<Key, Vec<Cost>> {
    let mut workers: BTreeMap<&str, Process> = keys
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
    costs
}
