//! What a request costs while its collector is well, gone, stuck, refusing or talking nonsense; and
//! what the process holds meanwhile.
#![cfg(all(feature = "grpc", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use collector::{Behavior, Collector, Probe, statistics};
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::Registry;

const ROUNDS: usize = 60;
/// More than a batch, so that each round has an export.
const REQUESTS: usize = 1000;

/// A service on a runtime of its own, and a connection to it.
struct Service {
    name: &'static str,
    telemetry: Telemetry,
    probe: Probe,
    _runtime: tokio::runtime::Runtime,
}

impl Service {
    fn start(name: &'static str, collector: SocketAddr) -> Self {
        let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder("users")
            .endpoint(format!("http://{collector}"))
            .sampler(Sampler::AlwaysOn)
            .metrics(MetricsExporter::None)
            .local()
            .unwrap();
        let traces = TraceLayer::server().tracer_provider(telemetry.tracer_provider().unwrap());
        let app = Router::new()
            .route("/users/{id}", get(|| async { "user" }))
            .layer(traces);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bound = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(bound).unwrap();
        let probe = Probe::connect(listener.local_addr().unwrap(), "/users/7");
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            name,
            telemetry,
            probe,
            _runtime: runtime,
        }
    }

    fn round(&mut self) -> [f64; 2] {
        statistics::percentiles((0..REQUESTS).map(|_| self.probe.request()).collect())
    }
}

/// Pages that are in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.unwrap().split_whitespace().nth(1);
    words.unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement: cargo test --release -p tower-otel-init --test latency -- --ignored --nocapture --test-threads 1"]
fn a_request_costs_the_same_whatever_became_of_the_collector() {
    let well = Collector::grpc();
    let mut gone = Collector::grpc();
    gone.kill();
    let stuck = Collector::start(false, Behavior::Hangs);
    let refusing = Collector::start(false, Behavior::Refuses);
    let nonsense = Collector::start(false, Behavior::SendsGarbage);
    let mut services = [
        Service::start("well", well.address),
        Service::start("well, again", well.address),
        Service::start("gone", gone.address),
        Service::start("stuck", stuck.address),
        Service::start("refusing", refusing.address),
        Service::start("nonsense", nonsense.address),
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut rounds = vec![Vec::new(); services.len()];
    for service in &mut services {
        service.round();
    }
    for _ in 0..ROUNDS {
        for at in statistics::shuffled_indices(services.len(), &mut seed) {
            rounds[at].push(services[at].round());
        }
    }
    println!(
        "{ROUNDS} rounds of {REQUESTS} requests; ratio to `well` in the same round, 95 % interval"
    );
    for (service, own) in services.iter().zip(&rounds) {
        let lost = service.telemetry.dropped_spans();
        print!("{:<12}", service.name);
        for (at, what) in ["p50", "p99"].iter().enumerate() {
            let ratios: Vec<_> = own
                .iter()
                .zip(&rounds[0])
                .map(|(a, b)| a[at] / b[at])
                .collect();
            let [low, high] = statistics::median_interval(&ratios, &mut seed);
            let micros = statistics::median(own.iter().map(|round| round[at]).collect());
            let ratio = statistics::median(ratios);
            print!(" {what} {micros:6.1} µs {ratio:.3} [{low:.3}, {high:.3}]");
            // A queue that blocked, or a line for each span, would be seen from afar.
            assert!(*what == "p99" || ratio < 1.25, "{}: {ratio}", service.name);
        }
        println!("  lost {}", lost.total());
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p tower-otel-init --test latency -- --ignored --nocapture --test-threads 1"]
fn memory_is_bounded_without_a_collector() {
    let mut gone = Collector::grpc();
    gone.kill();
    let stuck = Collector::start(false, Behavior::Hangs);
    for (name, address) in [("gone", gone.address), ("stuck", stuck.address)] {
        let mut service = Service::start(name, address);
        let mut seen = Vec::new();
        for _ in 0..6 {
            for _ in 0..20 {
                service.round();
            }
            seen.push(resident());
        }
        let lost = service.telemetry.dropped_spans().total();
        println!("{name}: KiB after each 20000 requests {seen:?}, lost {lost}");
        // The queue and a batch on its way are full after the first.
        assert!(seen[5] < seen[0] + 4096, "{seen:?}");
    }
}
