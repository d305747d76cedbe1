//! What a request costs while its collector is well, gone, stuck, refusing or talking nonsense; and
//! what the process holds meanwhile.
#![cfg(all(feature = "grpc", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use common::{Collector, Mood};
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
    stream: TcpStream,
    reader: BufReader<TcpStream>,
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
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            name,
            telemetry,
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
            _runtime: runtime,
        }
    }

    /// The median and the 99th percentile of one round, in microseconds.
    fn round(&mut self) -> [f64; 2] {
        let mut took: Vec<_> = (0..REQUESTS).map(|_| self.ask()).collect();
        took.sort_unstable();
        [REQUESTS / 2, REQUESTS * 99 / 100].map(|at| took[at].as_secs_f64() * 1e6)
    }

    fn ask(&mut self) -> Duration {
        let start = Instant::now();
        let request = b"GET /users/7 HTTP/1.1\r\nhost: a\r\n\r\n";
        self.stream.write_all(request).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
        }
        self.reader.read_exact(&mut [0; 4]).unwrap();
        start.elapsed()
    }
}

/// Takes connections and answers each with what is no protocol.
fn nonsense() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(&[0xa5; 4096]);
        }
    });
    address
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where 95 % of the medians of resampled rounds lie.
fn interval(ratios: &[f64], seed: &mut u64) -> [f64; 2] {
    let mut medians: Vec<_> = (0..2000)
        .map(|_| {
            median(
                ratios
                    .iter()
                    .map(|_| ratios[random(seed, ratios.len())])
                    .collect(),
            )
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    [medians[50], medians[1949]]
}

fn random(seed: &mut u64, below: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed % below as u64) as usize
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
    let stuck = Collector::start(false, Mood::Hangs);
    let refusing = Collector::start(false, Mood::Refuses);
    let mut services = [
        Service::start("well", well.address),
        Service::start("well, again", well.address),
        Service::start("gone", gone.address),
        Service::start("stuck", stuck.address),
        Service::start("refusing", refusing.address),
        Service::start("nonsense", nonsense()),
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut rounds = vec![Vec::new(); services.len()];
    for service in &mut services {
        service.round();
    }
    for _ in 0..ROUNDS {
        let mut order: Vec<_> = (0..services.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random(&mut seed, at + 1));
        }
        for at in order {
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
            let [low, high] = interval(&ratios, &mut seed);
            let micros = median(own.iter().map(|round| round[at]).collect());
            let ratio = median(ratios);
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
    let stuck = Collector::start(false, Mood::Hangs);
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
