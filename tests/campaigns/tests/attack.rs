//! A million requests of hostile clients over real sockets.
//!
//! ```console
//! ATTACK_REQUESTS=1000000 cargo test --release -p campaigns --test attack -- --nocapture
//! ```
//!
//! `ATTACK_SEED` sets the seed.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{sync::atomic::Ordering::Relaxed, time::Instant};

use campaigns::{
    attack::Attack,
    counts::{Counts, SpanCounter},
    env_number,
    ledger::{Ledger, LedgerService},
    process,
    signals::{self, ATTRIBUTES, Metrics, attribute_values, expected_counts},
    wait_until,
};
use opentelemetry::trace::TracerProvider;
use suite_tests::net::serve;
use tower::Layer;
use tower_otel_core::observe;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt};

const CLIENTS: u64 = 16;

/// Asserts that the recorded counts are the expected counts, except for `missing` spans that were dropped.
fn assert_recorded(recorded: &Counts, expected: &Counts, missing: u64) {
    for (key, times) in recorded {
        assert!(
            expected.get(key) >= Some(times),
            "{key:?}: {times} recorded"
        );
    }
    let sum = |counts: &Counts| counts.values().sum::<u64>();
    assert_eq!(sum(recorded) + missing, sum(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_attack_every_request_is_counted_once_and_memory_is_bounded() {
    let requests = env_number("ATTACK_REQUESTS", 4_000);
    let seed = env_number("ATTACK_SEED", 1);
    println!("{requests} requests, seed {seed}");
    process::count_panics();

    // The backends.
    let metrics = Metrics::install();
    let (through_tracing, direct, recorded) = (
        SpanCounter::by(&ATTRIBUTES),
        SpanCounter::by(&ATTRIBUTES),
        SpanCounter::by(&ATTRIBUTES),
    );
    let provider = through_tracing.provider();
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("attack"))
            .with_filter(LevelFilter::INFO),
    );
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let direct_provider = direct.provider();
    let recorder = recorded.recorder();

    // A server for each span backend.
    let ledgers = [Ledger::default(), Ledger::default(), Ledger::default()];
    let service = |at: usize| LedgerService::new(ledgers[at].clone());
    // The servers share one table of series.
    let metrics_layers = metrics.layers();
    let spans = (
        signals::spans(),
        signals::spans().tracer_provider(&direct_provider),
        signals::spans().recorder(&recorder),
    );
    let attack = Attack::new(vec![
        serve(observe((spans.0, metrics_layers.clone())).layer(service(0))).await,
        serve(observe((spans.1, metrics_layers.clone())).layer(service(1))).await,
        serve(observe((spans.2, metrics_layers)).layer(service(2))).await,
    ]);

    // The first wave fills pools, tables and the memory of the allocator.
    let total = |count: &dyn Fn(&Ledger) -> u64| -> u64 { ledgers.iter().map(count).sum() };
    let settled = || {
        let lost = recorder.counts().dropped;
        let recorded_or_lost = through_tracing.total() + direct.total() + recorded.total() + lost;
        total(&Ledger::started) == total(&Ledger::ended)
            && recorded_or_lost == total(&Ledger::ended)
    };
    let start = Instant::now();
    attack.wave(CLIENTS, requests / 10, seed).await;
    wait_until("the first wave ends", settled).await;
    let (early, descriptors) = (process::resident(), process::descriptors());
    attack.wave(CLIENTS, requests, seed + 1).await;
    wait_until("every exchange ends", settled).await;
    wait_until("every connection is closed", || {
        process::descriptors() <= descriptors
    })
    .await;
    let took = start.elapsed();
    let (late, peak) = (process::resident(), process::peak());

    let outcomes = Ledger::sum(&ledgers);
    let all: u64 = outcomes.values().sum();
    let counts = &attack.counts;
    println!(
        "{all} requests received of {} sent, {} responses of which clients received {}, in {took:.1?}",
        counts.requests_sent.load(Relaxed),
        total(&Ledger::responses),
        counts.responses.load(Relaxed),
    );
    println!("{counts:?}");
    println!(
        "{:?}",
        expected_counts(&outcomes, |outcome| Some(vec![outcome.status()]))
    );
    println!(
        "memory {early:.1} MB after a tenth, {late:.1} MB at the end, {peak:.1} MB peak; \
         {descriptors} descriptors, then {}; {} panics; {:?}",
        process::descriptors(),
        process::panics(),
        recorder.counts(),
    );
    println!("{} lines of /metrics", metrics.check(&outcomes));

    // Spans, compared with the ledger of their server.
    let expected = ledgers
        .each_ref()
        .map(|ledger| expected_counts(&ledger.outcomes(), attribute_values));
    assert_eq!(through_tracing.counts(), expected[0]);
    assert_eq!(direct.counts(), expected[1]);
    // The queue of the recorder is bounded, and counts dropped spans.
    assert_recorded(&recorded.counts(), &expected[2], recorder.counts().dropped);
    assert_eq!(recorder.counts().exported, recorded.total());
    // The counts of the clients agree.
    assert!(all <= counts.requests_sent.load(Relaxed));
    assert!(total(&Ledger::responses) >= counts.responses.load(Relaxed));
    assert_eq!(counts.timeouts.load(Relaxed), 0, "clients timed out");
    assert_eq!(process::panics(), 0);
    // Short attacks do not show memory growth.
    if requests >= 200_000 {
        assert!(late < early * 1.25, "from {early} MB to {late} MB");
    }
}
