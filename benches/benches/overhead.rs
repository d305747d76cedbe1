//! The budget: what watching costs a server over loopback, beside the same server unwatched.
//!
//! `cargo bench -p tower-otel-benches --bench overhead [-- --quick] [-- --markdown]`
//!
//! Fails with 1 if the budget is broken, with 2 if the machine was too restless to tell, and with 3
//! if a span was lost: then what was measured is not what exporting costs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{collections::BTreeMap, time::Duration};

use tower_otel_benches::{
    app::work,
    arms::Arm,
    budget::{self, Sample, Samples, Workload},
    collector,
    delivery::{Deliveries, Delivery},
    drive::{Process, argument, flag},
    load::{Connection, CpuTime, Request, block, requests, sampled},
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
    "record + metrics",
    "record + metrics, around",
    "record + metrics@10",
    "tracing + metrics",
    "tracing + metrics@10",
];

/// A server, with connections to it.
struct Server {
    arm: Arm<'static>,
    process: Process,
    connections: Vec<Connection>,
    used: CpuTime,
    delivery: Delivery,
}

impl Server {
    fn start(name: &'static str, endpoint: &str, spins: &str) -> Self {
        let arguments = ["--serve", name, "--to", endpoint, "--spins", spins];
        let mut process = Process::start(arguments);
        let port = process.line().parse().unwrap();
        Self {
            arm: Arm::parse(name),
            connections: (0..16).map(|_| Connection::open(port)).collect(),
            used: CpuTime::of(process.id()),
            process,
            delivery: Delivery::default(),
        }
    }

    /// After each block its spans are delivered, which is not timed: so exporting is paid for by
    /// who has to export, and neither the next server nor the client has the collector beside it.
    fn sample(&mut self, workload: &Workload, requests: &[Request]) -> Sample {
        let connections = &mut self.connections[..workload.connections];
        let p50 = block(connections, requests);
        self.process.say("");
        self.process.line();
        let used = CpuTime::of(self.process.id());
        let (serving, process) = used.since(self.used, requests.len());
        self.used = used;
        self.delivery.requests += requests.len();
        if self.arm.has_spans() {
            self.delivery.sampled += sampled(requests, self.arm.sampling);
        }
        Sample {
            p50,
            serving,
            process,
        }
    }

    fn finish(self) -> Delivery {
        drop(self.connections);
        let lost = self.process.finish().concat().parse().unwrap();
        Delivery {
            lost,
            ..self.delivery
        }
    }
}

/// All servers alive, each round in an order of its own.
fn launch(spins: &str, effort: f64, samples: &mut Samples, deliveries: &mut Deliveries) {
    let mut collector = Process::start(["--collect"]);
    let endpoint = collector.line();
    let mut servers: BTreeMap<&str, Server> = ARMS
        .iter()
        .map(|arm| (*arm, Server::start(arm, &endpoint, spins)))
        .collect();
    let mut order = ARMS.to_vec();
    for workload in budget::WORKLOADS {
        let requests = requests(workload.path, workload.requests);
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
    for (arm, server) in servers {
        deliveries.add(arm, server.finish());
    }
    deliveries.delivered(&collector::finish(collector));
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
    let (launches, effort) = if quick { (3, 0.5) } else { (8, 1.0) };
    server::pin(0);
    let spins = work::calibrate(Duration::from_micros(100)).to_string();
    server::pin(1);
    let (mut samples, mut deliveries) = (Samples::new(), Deliveries::default());
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
        launch(&spins, effort, &mut samples, &mut deliveries);
    }
    let markdown = flag("--markdown");
    let verdict = budget::report(ARMS, &samples, markdown);
    let complete = deliveries.report(markdown);
    std::process::exit(if complete { verdict } else { 3 });
}
