//! Measures the latency of requests, and the memory of the process, while the collector works, is
//! unreachable, hangs, returns errors or returns invalid responses.
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
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry, TraceLayer};
use tracing_subscriber::Registry;

const ROUNDS: usize = 60;
/// The requests of a round. They are more than a batch, so each round includes an export.
const REQUESTS: usize = 1000;

/// A service with its own runtime, and a connection to the service.
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
            .sampler(Sampler::ratio(1.0))
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

/// Returns the resident memory of the process in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.unwrap().split_whitespace().nth(1);
    words.unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement: cargo test --release -p tower-otel-init --test latency -- --ignored --nocapture --test-threads 1"]
fn the_state_of_the_collector_does_not_change_the_latency_of_requests() {
    let working = Collector::grpc();
    let mut unreachable = Collector::grpc();
    unreachable.kill();
    let hanging = Collector::start(false, Behavior::Hangs);
    let failing = Collector::start(false, Behavior::Refuses);
    let invalid = Collector::start(false, Behavior::SendsGarbage);
    let mut services = [
        Service::start("working", working.address),
        Service::start("control", working.address),
        Service::start("unreachable", unreachable.address),
        Service::start("hanging", hanging.address),
        Service::start("failing", failing.address),
        Service::start("invalid", invalid.address),
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
        "{ROUNDS} rounds of {REQUESTS} requests; ratio to `working` in the same round, 95 % median_interval"
    );
    for (service, times) in services.iter().zip(&rounds) {
        let dropped = service.telemetry.dropped_spans();
        print!("{:<12}", service.name);
        for (at, what) in ["p50", "p99"].iter().enumerate() {
            let ratios: Vec<_> = times
                .iter()
                .zip(&rounds[0])
                .map(|(a, b)| a[at] / b[at])
                .collect();
            let [low, high] = statistics::median_interval(&ratios, &mut seed);
            let micros = statistics::median(times.iter().map(|round| round[at]).collect());
            let ratio = statistics::median(ratios);
            print!(" {what} {micros:6.1} µs {ratio:.3} [{low:.3}, {high:.3}]");
            // A queue that blocks, or a log line per span, would result in a much higher ratio.
            assert!(*what == "p99" || ratio < 1.25, "{}: {ratio}", service.name);
        }
        println!("  dropped {}", dropped.total());
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p tower-otel-init --test latency -- --ignored --nocapture --test-threads 1"]
fn memory_is_bounded_without_a_collector() {
    let mut unreachable = Collector::grpc();
    unreachable.kill();
    let hanging = Collector::start(false, Behavior::Hangs);
    for (name, address) in [
        ("unreachable", unreachable.address),
        ("hanging", hanging.address),
    ] {
        let mut service = Service::start(name, address);
        let mut seen = Vec::new();
        for _ in 0..6 {
            for _ in 0..20 {
                service.round();
            }
            seen.push(resident_kib());
        }
        let dropped = service.telemetry.dropped_spans().total();
        println!("{name}: KiB after each 20000 requests {seen:?}, dropped {dropped}");
        // The queue and the batch in flight are full after the first 20000 requests.
        assert!(seen[5] < seen[0] + 4096, "{seen:?}");
    }
}
