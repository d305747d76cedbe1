//! An exporter hangs while every request has another path, host and label value of 60 kB and a user agent of 300 kB.
//! Memory is bounded with the default limits.
//!
//! ```console
//! FLOOD_REQUESTS=200000 cargo test --release -p campaigns --test flood -- --nocapture
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
use campaigns::{env_number, process, signals::Metrics};
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use suite_tests::in_process::{exchange, hello};
use tower::{Layer, service_fn};
use tower_otel_core::observe;
use tower_otel_recorder::Recorder;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

/// The maximum growth of the resident memory, in megabytes.
const LIMIT: f64 = 64.0;

/// The length of a path, a host and a label value. hyper accepts paths of up to 65,534 bytes.
const LENGTH: usize = 60_000;
const USER_AGENT: usize = 300_000;

/// The spans of a pair of requests: one span that is recorded directly, and a `tracing` span with an inner span.
const SPANS: u64 = 3;

/// An exporter that never finishes an export, and does not release its batch.
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

/// The long values. They differ between requests in their first characters.
struct Values {
    long: String,
    user_agent: HeaderValue,
}

impl Values {
    fn new(length: usize, user_agent: usize) -> Self {
        Self {
            long: "x".repeat(length),
            user_agent: HeaderValue::try_from("u".repeat(user_agent)).unwrap(),
        }
    }

    fn request(&self, n: u64) -> Request<()> {
        let long = &self.long;
        Request::get(format!("/{n}{long}"))
            .header(header::HOST, format!("{n}{long}.example"))
            .header("x-tenant", format!("{n}{long}"))
            .header(header::USER_AGENT, self.user_agent.clone())
            .body(())
            .unwrap()
    }
}

#[test]
fn a_hanging_exporter_and_long_values_do_not_take_much_memory() {
    let pairs = env_number("FLOOD_REQUESTS", 4_000) / 2;
    let recorder = Recorder::builder(HangingExporter).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    let metrics = Metrics::install();
    // Both servers share the tables of series.
    let layers = metrics.layers();
    let direct = TraceLayer::server().recorder(&recorder);
    let mut direct = observe((direct, layers.clone())).layer(service_fn(hello as fn(_) -> _));
    let mut traced = observe((TraceLayer::server(), layers)).layer(service_fn(instrumented_hello));

    let (short, long) = (Values::new(1, 1), Values::new(LENGTH, USER_AGENT));
    let mut peak: f64 = 0.0;
    let before = tracing::subscriber::with_default(subscriber, || {
        exchange(&mut direct, short.request(0));
        exchange(&mut traced, short.request(0));
        drop(long.request(0));
        let before = process::resident();
        for n in 0..pairs {
            exchange(&mut direct, long.request(n));
            exchange(&mut traced, long.request(n));
            if n % 64 == 0 {
                peak = peak.max(process::resident());
            }
        }
        before
    });
    let series = metrics.series();
    let stopped = recorder.shutdown(Duration::from_millis(100));
    let counts = recorder.counts();
    println!(
        "{} requests with paths, hosts and labels of {LENGTH} and user agents of {USER_AGENT} bytes: from {before:.1} MB \
         to at most {peak:.1} MB; {series} lines of /metrics; {counts:?}",
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
