//! Memory and latency while many clients scrape a large page at a time, and others read it slowly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use metrics::with_local_recorder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task::JoinSet,
    time,
};
use tower_otel_prometheus::Prometheus;

const SERIES: usize = 100_000;
const CLIENTS: usize = 50;
const STORM: Duration = Duration::from_secs(10);

/// Returns the resident memory in bytes, without mapped files.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}

#[derive(Default)]
struct Counts {
    complete: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
}

/// Sends a scrape and reads the response, with a pause after each piece.
async fn scrape(address: SocketAddr, pause: Option<Duration>, counts: &Counts) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        accept: application/openmetrics-text\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let (mut piece, mut end) = (vec![0; 4096], Vec::new());
    let mut is_refused = None;
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        is_refused.get_or_insert(piece.starts_with(b"HTTP/1.1 503"));
        end.extend_from_slice(&piece[..read]);
        end.drain(..end.len().saturating_sub(32));
        if let Some(pause) = pause {
            time::sleep(pause).await;
        }
    }
    let is_complete = String::from_utf8_lossy(&end).contains("# EOF\n");
    let count = match (is_refused, is_complete) {
        (Some(true), _) => &counts.refused,
        (_, true) => &counts.complete,
        _ => &counts.broken,
    };
    count.fetch_add(1, Relaxed);
}

/// Sends requests for the time `during`. Returns the 99th percentile of their latency.
async fn p99(address: SocketAddr, during: Duration) -> Duration {
    let (started, mut times) = (Instant::now(), Vec::new());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut response = vec![0; 4096];
    while started.elapsed() < during {
        let sent = Instant::now();
        let request = b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(request).await.unwrap();
        assert!(stream.read(&mut response).await.unwrap() > 0);
        times.push(sent.elapsed());
        time::sleep(Duration::from_millis(2)).await;
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Starts the server on separate threads, so that the clients do not delay its tasks.
fn serve(app: Router) -> (SocketAddr, Runtime) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // The caller is on another runtime, which must not be blocked.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        axum::serve(listener, app).await.unwrap();
    });
    (address, runtime)
}

/// Measures the other requests on a separate thread.
fn spawn_p99(address: SocketAddr, during: Duration) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(p99(address, during))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p suite-tests --test scrape_storm -- --ignored --nocapture"]
async fn scrapes_and_slow_readers_cost_neither_memory_nor_the_time_of_other_requests() {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    with_local_recorder(&recorder, || {
        for n in 0..SERIES {
            let path = format!("/a/rather/long/route/of/an/application/{n}");
            metrics::counter!("http_requests_total", "method" => "GET", "path" => path)
                .increment(1);
        }
    });
    let page = prometheus.render().len();
    let app = Router::new()
        .route("/ping", get(async || "pong"))
        .route_service("/metrics", prometheus.service());
    let (address, server) = serve(app);

    scrape(address, None, &Counts::default()).await;
    let before = resident();
    let p99_before = spawn_p99(address, STORM / 2).join().unwrap();
    let (fast, slow) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let fast = Arc::clone(&fast);
        clients.spawn(async move {
            let started = Instant::now();
            while started.elapsed() < STORM {
                scrape(address, None, &fast).await;
                time::sleep(Duration::from_millis(10)).await;
            }
        });
        let slow = Arc::clone(&slow);
        clients.spawn(async move {
            let pause = Duration::from_millis(100);
            let reading = scrape(address, Some(pause), &slow);
            let _ = time::timeout(STORM, reading).await;
        });
    }
    let others = spawn_p99(address, STORM);
    let (started, mut highest) = (Instant::now(), 0);
    while started.elapsed() < STORM {
        highest = resident().max(highest);
        time::sleep(Duration::from_millis(20)).await;
    }
    let p99_during = others.join().unwrap();
    clients.join_all().await;
    server.shutdown_background();

    let growth = highest.saturating_sub(before);
    let added = p99_during.saturating_sub(p99_before);
    println!(
        "{SERIES} series, a page of {page} bytes, {CLIENTS} clients and {CLIENTS} slow readers"
    );
    println!("resident: {before} bytes before, {highest} at most, growth {growth}");
    println!(
        "p99 of other requests: {p99_before:?} before, {p99_during:?} during, {added:?} added"
    );
    for (name, counts) in [("fast", &fast), ("slow", &slow)] {
        let [complete, refused, broken] =
            [&counts.complete, &counts.refused, &counts.broken].map(|count| count.load(Relaxed));
        println!("{name}: {complete} complete, {refused} refused, {broken} broken");
    }
    assert!(fast.complete.load(Relaxed) > 0, "scrapes succeed");
    assert!(growth < 32 << 20, "{growth}");
    assert!(added < Duration::from_millis(20), "{added:?}");
}
