//! The budget: what watching costs a server over loopback, beside the same server unwatched.
//!
//! `cargo bench -p tower-otel-benches --bench overhead [-- --quick] [-- --markdown]`
//!
//! Fails with 1 if the budget is broken, and with 2 if the machine was too restless to tell.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{collections::BTreeMap, time::Duration};

use tower_otel_benches::{
    app::work,
    budget::{self, Sample, Samples, Workload},
    collector,
    drive::{Process, argument, flag},
    load::{Connection, CpuTime, block, requests},
    server,
};

/// What is compared with `bare`.
const ARMS: &[&str] = &[
    "bare",
    "bare again",
    "no-op",
    "metrics",
    "metrics, around",
    "direct + metrics",
    "direct + metrics, around",
    "direct + metrics@10",
    "tracing + metrics",
    "tracing + metrics, around",
    "tracing + metrics@10",
];

/// A server, with connections to it.
struct Server {
    process: Process,
    connections: Vec<Connection>,
    used: CpuTime,
    served: usize,
}

impl Server {
    fn start(arm: &str, endpoint: &str, spins: &str) -> Self {
        let arguments = ["--serve", arm, "--to", endpoint, "--spins", spins];
        let mut process = Process::start(arguments);
        let port = process.line().parse().unwrap();
        Self {
            connections: (0..16).map(|_| Connection::open(port)).collect(),
            used: CpuTime::of(process.id()),
            process,
            served: 0,
        }
    }

    /// What is exported after a block belongs to it, and is found at the next reading.
    fn sample(&mut self, workload: &Workload, requests: &[Vec<u8>]) -> Sample {
        let connections = &mut self.connections[..workload.connections];
        let p50 = block(connections, requests, workload.requests);
        let used = CpuTime::of(self.process.id());
        let (serving, process) = used.since(self.used, workload.requests);
        self.used = used;
        self.served += workload.requests;
        Sample {
            p50,
            serving,
            process,
        }
    }
}

/// All servers alive, each round in an order of its own.
fn launch(spins: &str, effort: f64, samples: &mut Samples) {
    let mut collector = Process::start(["--collect"]);
    let endpoint = collector.line();
    let mut servers: BTreeMap<&str, Server> = ARMS
        .iter()
        .map(|arm| (*arm, Server::start(arm, &endpoint, spins)))
        .collect();
    let mut order = ARMS.to_vec();
    for workload in budget::WORKLOADS {
        let requests = requests(workload.path);
        let rounds = (workload.rounds as f64 * effort).ceil() as usize;
        // The first rounds warm up.
        for round in 0..rounds + 3 {
            fastrand::shuffle(&mut order);
            for arm in &order {
                let sample = servers.get_mut(arm).unwrap().sample(workload, &requests);
                if round >= 3 {
                    let launches = samples.entry((workload.name, arm)).or_default();
                    launches.last_mut().unwrap().push(sample);
                }
            }
        }
    }
    let mut expected = 0;
    for (arm, server) in servers {
        let Server {
            process,
            connections,
            served,
            ..
        } = server;
        drop(connections);
        let lost: usize = process.finish().parse().unwrap();
        let is_sampled = arm.contains('+') && !arm.contains('@');
        expected += if is_sampled { served - lost } else { 0 };
        if lost > 0 {
            println!("{arm}: {lost} of {served} spans were lost");
        }
    }
    let arrived: usize = collector.finish().parse().unwrap();
    assert!(arrived >= expected, "{arrived} of {expected} spans arrived");
}

fn main() {
    if let Some(arm) = argument("--serve") {
        let spins = argument("--spins").unwrap().parse().unwrap();
        return server::run(&arm, argument("--to").unwrap(), spins);
    }
    if flag("--collect") {
        return collector::run();
    }
    let quick = flag("--quick");
    let (launches, effort) = if quick { (2, 0.5) } else { (4, 1.0) };
    server::pin(0);
    let spins = work::calibrate(Duration::from_micros(100)).to_string();
    server::pin(1);
    let mut samples = Samples::new();
    for at in 0..launches {
        for workload in budget::WORKLOADS {
            for arm in ARMS {
                samples
                    .entry((workload.name, *arm))
                    .or_default()
                    .push(Vec::new());
            }
        }
        eprintln!("launch {} of {launches}", at + 1);
        launch(&spins, effort, &mut samples);
    }
    let verdict = budget::report(ARMS, &samples, flag("--markdown"));
    std::process::exit(verdict);
}
