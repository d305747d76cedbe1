//! An outage with keep rules: every request fails, and thousands of traces never end. Memory is bounded, the limit of kept traces
//! per second holds, and every span is counted.
//!
//! ```console
//! KEEP_REQUESTS=1000000 cargo test --release -p campaigns --test keep -- --nocapture
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
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use campaigns::{env_number, process};
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SpanData, SpanExporter},
};
use suite_tests::in_process::exchange;
use tower::{Layer, service_fn};
use tower_otel_recorder::{Keep, Recorder, RecorderSpanExt};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

/// The maximum growth of the resident memory after the first round, in megabytes.
const GROWTH: f64 = 8.0;

/// The maximum growth in all, in megabytes. The held spans allocate at most 16 MiB. The traces that never end also have open
/// `tracing` spans.
const LIMIT: f64 = 96.0;

const THREADS: u64 = 4;

/// The number of requests of a thread. After them the thread ends, and another thread replaces it.
const AT_ONCE: u64 = 500;

/// The number of rounds, and the minimum duration of a round.
const ROUNDS: u64 = 10;
const ROUND: Duration = Duration::from_secs(1);

/// The number of traces that never end.
const ENDLESS: usize = 10_000;

const PER_SECOND: u32 = 100;

/// The number of spans of a failing request: the span of the layer and two inner spans.
const SPANS: u64 = 3;

/// Counts spans and roots by whether their trace was sampled.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sampled: AtomicU64,
    kept: AtomicU64,
    kept_roots: AtomicU64,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            let is_kept = span
                .attributes
                .iter()
                .any(|attribute| attribute.key.as_str() == "sampling.keep.reason");
            assert_eq!(is_kept, !span.span_context.is_sampled());
            match is_kept {
                true => &self.0.kept,
                false => &self.0.sampled,
            }
            .fetch_add(1, Relaxed);
            if is_kept && span.parent_span_id == opentelemetry::SpanId::INVALID {
                self.0.kept_roots.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }
}

#[tracing::instrument(skip_all)]
fn load(number: usize) {
    tracing::info_span!("query", text = "x".repeat(number % 3_000)).in_scope(|| {
        tracing::warn!(number, "no connection");
    });
}

fn fail(request: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    load(request.uri().path().len());
    let mut response = Response::new(Full::from("down"));
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ready(Ok(response))
}

/// Sends failing requests, which alternate between both kinds of spans. Adds a child to each trace that never ends.
fn attack(recorder: &Recorder, requests: u64, endless: &[tracing::Span]) {
    let mut direct = TraceLayer::server()
        .recorder(recorder)
        .layer(service_fn(fail as fn(_) -> _));
    let mut traced = TraceLayer::server().layer(service_fn(fail as fn(_) -> _));
    for n in 0..requests {
        let path = format!("/{}", "a".repeat(usize::try_from(n % 500).unwrap()));
        let request = Request::get(path).body(()).unwrap();
        match n % 2 {
            0 => exchange(&mut direct, request),
            _ => exchange(&mut traced, request),
        }
        let index = usize::try_from(n).unwrap() % endless.len();
        endless[index].in_scope(|| drop(tracing::info_span!("tick", n)));
    }
}

#[test]
fn an_outage_and_traces_that_never_end_take_bounded_memory_and_lose_nothing_uncounted() {
    let wanted = env_number("KEEP_REQUESTS", 20_000);
    let exporter = Counting::default();
    let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    let recorder = Recorder::builder(exporter.clone())
        .sampler_without_attributes(tenth)
        .keep(Keep::errors().per_second(PER_SECOND))
        .delay(Duration::from_millis(500))
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    let dispatch = tracing::Dispatch::new(subscriber);
    let before = process::resident();
    let started = Instant::now();
    let endless: Vec<tracing::Span> = tracing::dispatcher::with_default(&dispatch, || {
        (0..ENDLESS)
            .map(|_| tracing::info_span!("endless"))
            .collect()
    });
    let mut after_tenth = 0.0;
    let mut requests = 0;
    for round in 0..ROUNDS {
        let round_started = Instant::now();
        // Traces count as old after five seconds.
        while requests < wanted * (round + 1) / ROUNDS || round_started.elapsed() < ROUND {
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    let (dispatch, endless, recorder) = (&dispatch, &endless, &recorder);
                    scope.spawn(move || {
                        tracing::dispatcher::with_default(dispatch, || {
                            attack(recorder, AT_ONCE, endless);
                        });
                    });
                }
            });
            requests += THREADS * AT_ONCE;
        }
        if round == 0 {
            after_tenth = process::resident();
        }
    }
    let (seconds, end) = (started.elapsed().as_secs_f64(), process::resident());
    let outage = recorder.counts();
    // Roots that end before their children, and that no keep rule selects.
    let late: Vec<_> = endless
        .iter()
        .take(100)
        .map(|root| root.context())
        .collect();
    drop(endless);
    tracing::dispatcher::with_default(&dispatch, || {
        for context in late {
            let _entered = context.attach();
            drop(tracing::info_span!("late"));
        }
    });
    recorder.shutdown(Duration::from_secs(20)).unwrap();
    let counts = recorder.counts();
    let Counts {
        sampled,
        kept,
        kept_roots,
    } = &*exporter.0;
    let (sampled, kept, kept_roots) = (
        sampled.load(Relaxed),
        kept.load(Relaxed),
        kept_roots.load(Relaxed),
    );
    println!(
        "{requests} failing requests in {seconds:.1} s, {ENDLESS} traces that never end: from {before:.1} MB to \
         {after_tenth:.1} MB after a tenth, {end:.1} MB at the end, {:.1} MB at most; {kept_roots} traces kept; {counts:?}",
        process::peak()
    );
    assert!(
        end - after_tenth < GROWTH,
        "grew by {:.1} MB",
        end - after_tenth
    );
    assert!(
        process::peak() - before < LIMIT,
        "{:.1} MB",
        process::peak()
    );
    let most = f64::from(PER_SECOND) * (seconds + 1.0);
    assert!(kept_roots as f64 <= most, "{kept_roots} in {seconds} s");
    assert!(
        kept_roots >= u64::from(PER_SECOND).min(requests / 2),
        "{kept_roots}"
    );
    // Every started span has ended, and is exported or counted.
    assert_eq!(
        counts.started,
        counts.exported + counts.dropped,
        "{counts:?}"
    );
    assert_eq!(sampled + kept, counts.exported);
    // A failing trace is sampled, kept, over the limit per second, or was not held because the memory was full.
    let unsampled = outage.keep_limited + kept;
    let all = SPANS * requests;
    assert!(unsampled <= all, "{unsampled} of {all}");
    assert!(
        counts.not_held > 0,
        "the traces that never end take all the room"
    );
}
