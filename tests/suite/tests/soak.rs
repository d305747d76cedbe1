//! Memory does not grow over ten million requests, without a scrape and with `tracing` spans. `SOAK_REQUESTS` sets
//! the number of requests.
//!
//! ```console
//! cargo test --release -p suite-tests --test soak -- --ignored --nocapture --test-threads 1
//! ```

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    fmt::Write,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use metrics::with_local_recorder;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use suite_tests::{
    in_process::{exchange, hello},
    telemetry::sum,
};
use tower::{Layer, service_fn};
use tower_otel_core::Route;
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::Recorder;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

/// Returns the number of requests.
fn requests() -> u32 {
    let number = std::env::var("SOAK_REQUESTS").ok();
    number.map_or(10_000_000, |number| number.parse().unwrap())
}

/// Returns the resident bytes of this process.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

/// Sends the requests. Compares the memory after the first twentieth with the memory at the end.
fn soak(name: &str, layers: &[MetricsLayer], request: impl Fn(u32, &mut String) -> Request<()>) {
    let requests = requests();
    let (recorder, prometheus) = Prometheus::builder().native_histograms().build().unwrap();
    let mut uri = String::new();
    let mut early = 0.0;
    let start = Instant::now();
    with_local_recorder(&recorder, || {
        let service = |layer: &MetricsLayer| layer.layer(service_fn(hello as fn(_) -> _));
        let mut services: Vec<_> = layers.iter().map(service).collect();
        for n in 0..requests {
            if n == requests / 20 {
                early = resident();
            }
            let at = n as usize % services.len();
            exchange(&mut services[at], request(n, &mut uri));
        }
    });
    let (late, took) = (resident(), start.elapsed());
    let each = took.as_nanos() / u128::from(requests);
    let text = prometheus.render();
    let series = text.lines().filter(|line| line.contains("_count{")).count();
    println!(
        "{name}: {:.2} MB after {}, {:.2} MB after {requests} ({:+.2} %), {series} histograms, {each} ns each",
        early / 1e6,
        requests / 20,
        late / 1e6,
        (late / early - 1.0) * 100.0
    );
    assert!(late < early * 1.05, "{name} grew from {early} to {late}");
    let counted = ["http_request", "http_client_request", "http_server_request"]
        .map(|name| sum(&text, &format!("{name}_duration_seconds_count"), &[]));
    assert_eq!(counted.iter().sum::<f64>(), f64::from(requests));
}

#[test]
#[ignore = "a measurement of a minute: cargo test --release -p suite-tests --test soak -- --ignored --nocapture --test-threads 1"]
fn memory_does_not_grow_without_a_scrape() {
    let routes = ["/a/{id}", "/b/{id}", "/c/{id}", "/d/{id}"];
    let route = move |request: &dyn tower_otel_core::RequestHead| {
        let at = usize::from(*request.target().path.as_bytes().get(1)?) - usize::from(b'a');
        routes.get(at).copied().map(Route::from)
    };
    let layers = [MetricsLayer::server().route(route).body_sizes()];
    soak("regular", &layers, |n, _| {
        let paths = ["/a/1", "/b/2", "/c/3", "/d/4", "/nowhere"];
        Request::get(paths[n as usize % paths.len()])
            .body(())
            .unwrap()
    });
}

#[test]
#[ignore = "a measurement of a minute: cargo test --release -p suite-tests --test soak -- --ignored --nocapture --test-threads 1"]
fn memory_does_not_grow_with_labels_chosen_by_an_attacker() {
    // The path as route, the server address and a header as labels.
    let path = |request: &dyn tower_otel_core::RequestHead| {
        Some(Route::from(request.target().path.to_owned()))
    };
    let header = |layer: MetricsLayer| {
        layer.label("tenant", |request| {
            let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
            Some(tenant.to_owned().into())
        })
    };
    let layers = [
        header(MetricsLayer::server().route(path)),
        MetricsLayer::client(),
        MetricsLayer::server()
            .names(Names::Conventions)
            .server_address(),
    ];
    soak("attack", &layers, |n, uri| {
        uri.clear();
        write!(uri, "http://host-{n}.example:{}/{n}", n % 60_000 + 1).unwrap();
        let method = Method::from_bytes(format!("M{n}").as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(uri.as_str());
        request.header("x-tenant", n).body(()).unwrap()
    });
}

/// The number of requests that fill the queue of a recorder whose exporter waits.
const WARM_UP: u32 = 10_000;

/// Counts spans and discards them. The first export waits.
#[derive(Clone, Debug)]
struct CountingExporter {
    spans: Arc<AtomicU64>,
    first: Arc<Barrier>,
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.spans.fetch_add(batch.len() as u64, Relaxed) == 0 {
            self.first.wait();
        }
        Ok(())
    }
}

#[tracing::instrument(skip_all, fields(path = request.uri().path()))]
async fn instrumented_hello(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    tracing::info!(size = request.uri().path().len(), "served");
    hello(request).await
}

#[test]
#[ignore = "a measurement of a minute: cargo test --release -p suite-tests --test soak -- --ignored --nocapture --test-threads 1"]
fn memory_does_not_grow_with_spans_of_the_recorder_layer_and_no_span_is_lost_uncounted() {
    let requests = requests();
    let exporter = CountingExporter {
        spans: Arc::default(),
        first: Arc::new(Barrier::new(2)),
    };
    let recorder = Recorder::builder(exporter.clone()).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    let mut service = TraceLayer::server().layer(service_fn(instrumented_hello));
    let mut uri = String::new();
    let mut request = |n: u32| {
        uri.clear();
        write!(uri, "/users/{n}").unwrap();
        let request = Request::get(uri.as_str()).body(()).unwrap();
        exchange(&mut service, request);
    };
    let (early, start) = tracing::subscriber::with_default(subscriber, || {
        // Fills the queue once, so that the pool has the maximum number of records.
        (0..WARM_UP).for_each(&mut request);
        exporter.first.wait();
        recorder.flush(Duration::from_secs(20)).unwrap();
        let before = (resident(), Instant::now());
        (0..requests).for_each(request);
        before
    });
    let (late, took) = (resident(), start.elapsed());
    recorder.shutdown(Duration::from_secs(20)).unwrap();
    let counts = recorder.counts();
    println!(
        "recorder layer: {:.2} MB after {WARM_UP}, {:.2} MB after {requests} ({:+.2} %), {} ns each, {counts:?}",
        early / 1e6,
        late / 1e6,
        (late / early - 1.0) * 100.0,
        took.as_nanos() / u128::from(requests)
    );
    assert!(late < early * 1.05, "grew from {early} to {late}");
    assert_eq!(counts.exported, exporter.spans.load(Relaxed));
    assert_eq!(
        counts.exported + counts.failed + counts.dropped,
        2 * u64::from(WARM_UP + requests)
    );
}
