//! A million requests of clients that behave as badly as they can, over real sockets.
//!
//! ```console
//! ATTACK_REQUESTS=1000000 cargo test --release -p campaigns --test attack -- --nocapture
//! ```
//!
//! `ATTACK_SEED` draws other ones.

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
    attack::Mission,
    ledger::{Kept, Ledger},
    process, setting,
    signals::{self, KEYS, Metrics, due, told},
    telling::{Counts, Spans},
    until,
};
use opentelemetry::trace::TracerProvider;
use suite_tests::net::serve;
use tower::Layer;
use tower_otel_core::observe;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt};

const CLIENTS: u64 = 16;

/// What was told is due, and so many of it are missing.
fn fits(told: &Counts, due: &Counts, missing: u64) {
    for (key, times) in told {
        assert!(due.get(key) >= Some(times), "{key:?}: {times} are told");
    }
    let sum = |counts: &Counts| counts.values().sum::<u64>();
    assert_eq!(sum(told) + missing, sum(due));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_an_attack_is_counted_exactly_and_nothing_grows() {
    let requests = setting("ATTACK_REQUESTS", 4_000);
    let seed = setting("ATTACK_SEED", 1);
    println!("{requests} requests, seed {seed}");
    process::count_panics();

    // Who is told.
    let metrics = Metrics::install();
    let (through_tracing, direct, recorded) =
        (Spans::by(&KEYS), Spans::by(&KEYS), Spans::by(&KEYS));
    let provider = through_tracing.provider();
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("attack"))
            .with_filter(LevelFilter::INFO),
    );
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let direct_provider = direct.provider();
    let recorder = recorded.recorder();

    // Who tells: a server for each kind of spans.
    let ledgers = [Ledger::default(), Ledger::default(), Ledger::default()];
    let kept = |of: usize| Kept(ledgers[of].clone());
    // One table of series for all of them.
    let counted = metrics.layers();
    let spans = (
        signals::spans(),
        signals::spans().tracer_provider(&direct_provider),
        signals::spans().recorder(&recorder),
    );
    let mission = Mission::new(vec![
        serve(observe((spans.0, counted.clone())).layer(kept(0))).await,
        serve(observe((spans.1, counted.clone())).layer(kept(1))).await,
        serve(observe((spans.2, counted)).layer(kept(2))).await,
    ]);

    // A first wave fills what is filled once: pools, tables, the allocator's pages.
    let of = |count: &dyn Fn(&Ledger) -> u64| -> u64 { ledgers.iter().map(count).sum() };
    let settled = || {
        let lost = recorder.counts().dropped;
        let told = through_tracing.total() + direct.total() + recorded.total() + lost;
        of(&Ledger::begun) == of(&Ledger::ended) && told == of(&Ledger::ended)
    };
    let start = Instant::now();
    mission.wave(CLIENTS, requests / 10, seed).await;
    until("the first wave ends", settled).await;
    let (early, descriptors) = (process::resident(), process::descriptors());
    mission.wave(CLIENTS, requests, seed + 1).await;
    until("every exchange ends", settled).await;
    until("every connection is closed", || {
        process::descriptors() <= descriptors
    })
    .await;
    let took = start.elapsed();
    let (late, peak) = (process::resident(), process::peak());

    let endings = Ledger::sum(&ledgers);
    let all: u64 = endings.values().sum();
    let tally = &mission.tally;
    println!(
        "{all} came in of {} asked, {} were answered of which clients saw {}, in {took:.1?}",
        tally.asked.load(Relaxed),
        of(&Ledger::answered),
        tally.heads.load(Relaxed),
    );
    println!("{tally:?}");
    println!("{:?}", due(&endings, |ending| Some(vec![ending.status()])));
    println!(
        "memory {early:.1} MB after a tenth, {late:.1} MB at the end, {peak:.1} MB at most; \
         {descriptors} descriptors, then {}; {} panics; {:?}",
        process::descriptors(),
        process::panics(),
        recorder.counts(),
    );
    println!("{} lines of /metrics", metrics.check(&endings));

    // Spans, against the ledger of their server.
    let due = ledgers
        .each_ref()
        .map(|ledger| due(&ledger.endings(), told));
    assert_eq!(through_tracing.counts(), due[0]);
    assert_eq!(direct.counts(), due[1]);
    // The queue of records has an end, and counts what does not fit.
    fits(&recorded.counts(), &due[2], recorder.counts().dropped);
    assert_eq!(recorder.counts().exported, recorded.total());
    // What the clients know agrees.
    assert!(all <= tally.asked.load(Relaxed));
    assert!(of(&Ledger::answered) >= tally.heads.load(Relaxed));
    assert_eq!(tally.given_up.load(Relaxed), 0, "something has hung");
    assert_eq!(process::panics(), 0);
    // Short attacks say nothing about memory.
    if requests >= 200_000 {
        assert!(late < early * 1.25, "from {early} MB to {late} MB");
    }
}
