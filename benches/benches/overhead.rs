//! The overhead of instrumentation on a server over loopback, compared with the same server without it.
//!
//! `cargo bench -p tower-otel-benches --bench overhead [-- --quick] [-- --markdown] [-- --connections]`
//!
//! Exit code 1: a limit of the budget is exceeded. 2: the measurement is too noisy for a verdict. 3: a span was lost, so the
//! results do not include the whole export. 4: the budget is exceeded, but only where the yardstick exceeds it, too.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{collections::BTreeMap, time::Duration};

use tower_otel_benches::{
    app::work,
    arms::Arm,
    budget, collector, connections,
    delivery::{Deliveries, Delivery},
    load::{Connection, CpuTime, Request, block, requests, sampled},
    samples::{BARE, BARE_AGAIN, CONNECTIONS, Sample, Samples, WORKLOADS, Workload},
    server, service_times,
    workers::{Process, argument, flag},
};

/// The arms, each compared with `bare`.
const ARMS: &[&str] = &[
    BARE,
    BARE_AGAIN,
    "no-op",
    "metrics",
    "direct + metrics",
    "record + metrics",
    "record + metrics@10",
    "record + metrics, keep@10",
    "tracing + metrics",
    "tracing + metrics@10",
    "tracing + metrics, page",
    "yardstick of metrics",
    "yardstick of record + metrics",
    "yardstick of tracing + metrics",
];

/// A server process and the connections to it.
struct Server {
    arm: Arm<'static>,
    process: Process,
    port: u16,
    connections: Vec<Connection>,
    used: CpuTime,
    delivery: Delivery,
}

impl Server {
    fn start(name: &'static str, endpoint: &str, spins: &str) -> Self {
        let arguments = ["--serve", name, "--to", endpoint, "--spins", spins];
        let mut process = Process::start(arguments);
        let port = process.read_line().parse().unwrap();
        Self {
            arm: Arm::parse(name),
            port,
            connections: Vec::new(),
            used: CpuTime::of(process.id()),
            process,
            delivery: Delivery::default(),
        }
    }

    fn connect(&mut self, connections: usize) {
        let missing = connections - self.connections.len();
        let port = self.port;
        self.connections
            .extend((0..missing).map(|_| Connection::open(port)));
        // Accepting a connection is not part of a block.
        self.used = CpuTime::of(self.process.id());
    }

    /// Measures a block of requests. Then flushes its spans outside of the measured time, so that the
    /// export does not run during the block of another server.
    fn sample(&mut self, workload: &Workload, requests: &[Request]) -> Sample {
        let connections = &mut self.connections[..workload.connections];
        let p50 = block(connections, requests);
        self.process.send_line("");
        self.process.read_line();
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

/// Starts all servers and measures them in rounds, each in a random order.
fn launch(spins: &str, effort: f64, samples: &mut Samples, deliveries: &mut Deliveries) {
    let mut collector = Process::start(["--collect"]);
    let endpoint = collector.read_line();
    let mut servers: BTreeMap<&'static str, Server> = ARMS
        .iter()
        .map(|arm| (*arm, Server::start(arm, &endpoint, spins)))
        .collect();
    servers.values_mut().for_each(|server| server.connect(16));
    if !flag("--connections") {
        measure(WORKLOADS, ARMS, &mut servers, effort, samples);
    }
    for arm in connections::ARMS {
        servers.get_mut(arm).unwrap().connect(connections::MOST);
    }
    measure(
        CONNECTIONS,
        connections::ARMS,
        &mut servers,
        effort,
        samples,
    );
    for (arm, server) in servers {
        deliveries.add(arm, server.finish());
    }
    deliveries.add_delivered(&collector::finish(collector));
}

/// Measures servers in rounds.
fn measure(
    workloads: &[Workload],
    arms: &[&'static str],
    servers: &mut BTreeMap<&'static str, Server>,
    effort: f64,
    samples: &mut Samples,
) {
    let mut order = arms.to_vec();
    for workload in workloads {
        let requests = requests(workload.path, workload.requests);
        let rounds = (workload.rounds as f64 * effort).ceil() as usize;
        // The first rounds are a warm-up.
        for round in 0..rounds + 3 {
            fastrand::shuffle(&mut order);
            for arm in &order {
                let sample = servers.get_mut(arm).unwrap().sample(workload, &requests);
                if round >= 3 {
                    samples.add(workload, arm, sample);
                }
            }
        }
    }
}

fn main() {
    if let Some(arm) = argument("--serve") {
        let spins = argument("--spins").unwrap().parse().unwrap();
        return server::run(&arm, argument("--to").unwrap(), spins);
    }
    if flag("--collect") {
        return collector::run();
    }
    connections::raise_file_limit();
    let quick = flag("--quick");
    let (launches, effort) = if quick { (3, 0.5) } else { (8, 1.0) };
    server::pin(0);
    let spins = work::calibrate(Duration::from_micros(100)).to_string();
    server::pin(1);
    let (mut samples, mut deliveries) = (Samples::default(), Deliveries::default());
    for at in 0..launches {
        samples.begin_launch(ARMS);
        eprintln!("launch {} of {launches}", at + 1);
        launch(&spins, effort, &mut samples, &mut deliveries);
    }
    let markdown = flag("--markdown");
    if flag("--connections") {
        return connections::report(&samples, markdown);
    }
    budget::report_figures(ARMS, &samples, markdown);
    let complete = deliveries.report(markdown);
    service_times::report(&ARMS[1..], &samples, markdown);
    connections::report(&samples, markdown);
    let verdict = budget::report(&samples, markdown);
    std::process::exit(if complete { verdict } else { 3 });
}
