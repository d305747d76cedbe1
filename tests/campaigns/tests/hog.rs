//! An exporter hangs while requests with paths of 60 kB are recorded. Memory is bounded with the default limits.
//!
//! ```console
//! HOG_REQUESTS=200000 cargo test --release -p campaigns --test hog -- --nocapture
//! ```

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use campaigns::{env_number, process};
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use suite_tests::in_process::{exchange, hello};
use tower::{Layer, service_fn};
use tower_otel_recorder::Recorder;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

/// How much the resident memory may grow, in megabytes.
const LIMIT: f64 = 64.0;

/// The length of a path. hyper accepts paths of up to 65,534 bytes.
const PATH: usize = 60_000;

/// Spans of a pair of requests: one recorded directly; one through `tracing`, with a span inside.
const SPANS: u64 = 3;

/// Never finishes an export, and keeps its batch.
#[derive(Debug)]
struct HangingExporter;

impl SpanExporter for HangingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        pending::<()>().await;
        drop(batch);
        Ok(())
    }
}

#[tracing::instrument(skip_all, fields(path = request.uri().path()))]
async fn instrumented_hello(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    tracing::info!(path = request.uri().path(), "served");
    hello(request).await
}

#[test]
fn a_hanging_exporter_and_long_paths_do_not_take_much_memory() {
    let pairs = env_number("HOG_REQUESTS", 20_000) / 2;
    let recorder = Recorder::builder(HangingExporter).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    let mut direct = TraceLayer::server()
        .recorder(&recorder)
        .layer(service_fn(hello as fn(_) -> _));
    let mut traced = TraceLayer::server().layer(service_fn(instrumented_hello));

    let path = format!("/{}", "a".repeat(PATH));
    let request = |path: &str| Request::get(path).body(()).unwrap();
    let mut peak: f64 = 0.0;
    let before = tracing::subscriber::with_default(subscriber, || {
        exchange(&mut direct, request("/"));
        exchange(&mut traced, request("/"));
        drop(request(&path));
        let before = process::resident();
        for n in 0..pairs {
            exchange(&mut direct, request(&path));
            exchange(&mut traced, request(&path));
            if n % 64 == 0 {
                peak = peak.max(process::resident());
            }
        }
        before
    });
    let stopped = recorder.shutdown(Duration::from_millis(100));
    let counts = recorder.counts();
    println!(
        "{} requests with paths of {PATH} bytes: from {before:.1} MB to at most {peak:.1} MB; {counts:?}",
        2 * pairs
    );
    assert!(
        matches!(stopped, Err(OTelSdkError::Timeout(_))),
        "{stopped:?}"
    );
    assert_eq!(counts.exported, 0);
    assert_eq!(counts.failed + counts.dropped, SPANS * (pairs + 1));
    assert!(peak - before < LIMIT, "grew by {:.1} MB", peak - before);
}
