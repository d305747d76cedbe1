//! The collector is killed, restarted and stalled, and refuses, rejects or sends garbage, during an attack.
//! Requests and metrics are not affected, and every span is delivered or counted as lost.
//!
//! ```console
//! CHAOS_ROUNDS=700 cargo test --release -p campaigns --test chaos -- --nocapture
//! ```
//!
//! `CHAOS_SEED` sets the seed.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    net::SocketAddr,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use campaigns::{
    app::InnerSpans,
    attack::Attack,
    env_number,
    ledger::{Ledger, LedgerService},
    pipeline::Pipeline,
    process,
    signals::{self, Metrics, MetricsLayers},
    wait_until,
};
use collector::{
    Behavior, Collector, Probe,
    statistics::{median, median_interval, percentiles, shuffled_indices},
};
use suite_tests::net::serve;
use tokio::runtime::Builder;
use tower::Layer;
use tower_otel_core::observe;
use tower_otel_init::Layers;
use tracing_subscriber::{Registry, layer::SubscriberExt};

const CLIENTS: u64 = 4;

/// The minimal number of requests of a probe in a round, and the minimal length of a round, long enough
/// for some exports to meet the fault.
const REQUESTS: usize = 100;
const ROUND: Duration = Duration::from_millis(200);

/// The behavior of the collector in each round; `None`: killed. Healthy rounds are the control.
const SCHEDULE: [Option<Behavior>; 8] = [
    None,
    Some(Behavior::Accepts),
    Some(Behavior::Hangs),
    Some(Behavior::Accepts),
    Some(Behavior::SendsGarbage),
    Some(Behavior::Accepts),
    Some(Behavior::Refuses),
    Some(Behavior::Rejects),
];

/// The delay of a batch.
const DELAY: Duration = Duration::from_millis(50);

/// The size of a batch: at most one batch for each kill is accepted without the sender knowing.
const BATCH: u64 = 512;

/// Two servers that export to one collector.
struct ServerPair {
    collector: Collector,
    pipeline: Pipeline,
    /// The layers of `tower-otel-init`, for a subscriber.
    layers: Layers<Registry>,
    /// The ledger of the server with `tower-otel-init`, and of the one with a recorder.
    ledgers: [Ledger; 2],
    servers: [SocketAddr; 2],
}

impl ServerPair {
    async fn start(name: &str, metrics: &MetricsLayers) -> Self {
        let collector = Collector::counting();
        let (pipeline, layers) = Pipeline::start(name, collector.endpoint(), DELAY);
        let ledgers = [Ledger::default(), Ledger::default()];
        let service = |at: usize| LedgerService::new(ledgers[at].clone());
        let init = signals::spans().tracer_provider(pipeline.provider());
        let recorder = signals::spans().recorder(pipeline.recorder());
        let servers = [
            serve(observe((init, metrics.clone())).layer(service(0))).await,
            serve(observe((recorder, metrics.clone())).layer(service(1))).await,
        ];
        Self {
            collector,
            pipeline,
            layers,
            ledgers,
            servers,
        }
    }

    /// Connects a probe to each server.
    fn probes(&self) -> [Probe; 2] {
        self.servers.map(|to| Probe::connect(to, "/fast/probe"))
    }

    /// Asserts that every span was delivered or counted as lost and that the collector agrees. Returns the
    /// lost spans.
    fn check(&self, further_init_spans: u64, restarts: u64) -> [u64; 2] {
        let exchanges = [
            self.ledgers[0].ended() + further_init_spans,
            self.ledgers[1].ended(),
        ];
        let totals = self.pipeline.span_totals(exchanges[0]);
        for (at, name) in self.pipeline.service_names().iter().enumerate() {
            let (accepted, rejected) = self.collector.count(name);
            // The exporter does not report rejected spans to the recorder.
            let received = if at == 0 {
                accepted
            } else {
                accepted + rejected
            };
            let total = totals[at];
            println!(
                "{name}: {} spans, {total:?}, {accepted} accepted",
                exchanges[at]
            );
            assert_eq!(total.delivered + total.lost, exchanges[at], "{name}");
            let unacknowledged = received.checked_sub(total.delivered);
            assert!(
                unacknowledged <= Some(restarts * BATCH),
                "{name}: {unacknowledged:?}"
            );
            assert!(unacknowledged.is_some(), "{name}: {received} received");
        }
        totals.map(|total| total.lost)
    }
}

/// The median latencies of the healthy and the faulty side, for each round.
#[derive(Default)]
struct LatencyPairs(Vec<[f64; 2]>);

impl LatencyPairs {
    /// Prints the ratio of faulty to healthy, with a 95 % interval.
    fn print(&self, what: &str, seed: &mut u64) {
        let ratios: Vec<_> = self
            .0
            .iter()
            .map(|[healthy, faulty]| faulty / healthy)
            .collect();
        let [low, high] = median_interval(&ratios, seed);
        let micros = |side: usize| median(self.0.iter().map(|pair| pair[side]).collect());
        println!(
            "{what:<24} {:4} rounds, p50 {:6.1} µs, healthy {:6.1} µs, {:.3} [{low:.3}, {high:.3}]",
            self.0.len(),
            micros(1),
            micros(0),
            median(ratios)
        );
    }
}

#[test]
fn a_failing_collector_does_not_affect_requests_or_metric_totals() {
    let rounds = env_number("CHAOS_ROUNDS", 8) as usize;
    let seed = env_number("CHAOS_SEED", 1);
    println!("{rounds} rounds, seed {seed}");
    process::count_panics();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();

    let metrics = Metrics::install();
    let layers = metrics.layers();
    let healthy = runtime.block_on(ServerPair::start("healthy", &layers));
    let mut faulty = runtime.block_on(ServerPair::start("faulty", &layers));
    // The process has one subscriber, which exports to the faulty collector.
    let subscriber = tracing_subscriber::registry().with(std::mem::take(&mut faulty.layers));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (through_tracing, inner_spans) = (Ledger::default(), InnerSpans::default());
    let application = LedgerService::with_inner_spans(through_tracing.clone(), inner_spans.clone());
    let traced = observe((signals::spans(), layers)).layer(application);
    let mut targets = vec![runtime.block_on(serve(traced))];
    targets.extend([healthy.servers, faulty.servers].concat());
    let ledgers: Vec<_> = [&healthy.ledgers, &faulty.ledgers]
        .into_iter()
        .flatten()
        .cloned()
        .chain([through_tracing.clone()])
        .collect();

    let attack = Attack::new(targets);
    let clients = {
        let attack = attack.clone();
        runtime.spawn(async move { attack.wave(CLIENTS, u64::MAX, seed).await })
    };
    // Two probes of the healthy side, then two of the faulty one.
    let mut probes: Vec<_> = [&healthy, &faulty]
        .into_iter()
        .flat_map(ServerPair::probes)
        .collect();
    let mut shuffle_seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut latencies: [[LatencyPairs; 2]; SCHEDULE.len()] = Default::default();
    let mut memory = Vec::with_capacity(rounds);
    let (start, mut restarts, mut probe_requests) = (Instant::now(), 0, 0);
    for round in 0..rounds {
        memory.push(process::resident());
        let at = round % SCHEDULE.len();
        faulty.collector.kill();
        if let Some(behavior) = SCHEDULE[at] {
            faulty.collector.run(false, behavior);
            restarts += 1;
        }
        // The probes take turns, so that other load affects all of them.
        let mut durations = [const { Vec::new() }; 4];
        let started = Instant::now();
        while durations[0].len() < REQUESTS || started.elapsed() < ROUND {
            for turn in shuffled_indices(4, &mut shuffle_seed) {
                durations[turn].push(probes[turn].request());
            }
        }
        probe_requests += durations.iter().map(Vec::len).sum::<usize>();
        let medians = durations.map(|durations| percentiles(durations)[0]);
        for (exporter, pairs) in latencies[at].iter_mut().enumerate() {
            pairs.0.push([medians[exporter], medians[2 + exporter]]);
        }
    }

    // The collector recovers, and all exchanges end.
    faulty.collector.kill();
    faulty.collector.run(false, Behavior::Accepts);
    restarts += 1;
    drop(probes);
    attack.stopped.store(true, Relaxed);
    let (peak, elapsed) = (process::peak(), start.elapsed());
    runtime.block_on(async {
        clients.await.unwrap();
        wait_until("every exchange ends", || {
            ledgers
                .iter()
                .all(|ledger| ledger.started() == ledger.ended())
        })
        .await;
    });
    let shutdown = Instant::now();
    healthy.pipeline.stop();
    faulty.pipeline.stop();
    assert!(shutdown.elapsed() < Duration::from_secs(30));

    let outcomes = Ledger::sum(&ledgers);
    let all: u64 = outcomes.values().sum();
    let counts = &attack.counts;
    println!(
        "{all} requests received, {probe_requests} of them from four probes, {restarts} collector starts, \
         in {elapsed:.1?}"
    );
    println!("{counts:?}");
    let fifths = memory_by_fifth(&memory);
    println!(
        "memory {fifths:.1?} MB in each fifth (median), {peak:.1} MB peak; {} panics",
        process::panics()
    );
    for (exporter, name) in ["init", "recorder"].into_iter().enumerate() {
        for (at, behavior) in SCHEDULE.iter().enumerate() {
            let what = behavior.map_or("killed".to_owned(), |behavior| format!("{behavior:?}"));
            latencies[at][exporter].print(&format!("{name}, {what}"), &mut shuffle_seed);
        }
        let pairs = |healthy: bool| {
            let rounds = SCHEDULE.iter().zip(&latencies);
            let rounds =
                rounds.filter(|(behavior, _)| (**behavior == Some(Behavior::Accepts)) == healthy);
            LatencyPairs(
                rounds
                    .flat_map(|(_, pairs)| pairs[exporter].0.clone())
                    .collect(),
            )
        };
        pairs(true).print(&format!("{name}, healthy"), &mut shuffle_seed);
        pairs(false).print(&format!("{name}, all faults"), &mut shuffle_seed);
    }

    println!("{} lines of /metrics", metrics.check(&outcomes));
    healthy.check(0, 0);
    let tracing_spans = through_tracing.ended() + inner_spans.count();
    let lost = faulty.check(tracing_spans, restarts);
    assert!(lost.iter().all(|lost| *lost > 0), "no span was lost");
    assert_eq!(counts.timeouts.load(Relaxed), 0, "clients timed out");
    assert_eq!(process::panics(), 0);
    // Queues, pools and the free lists of the allocator fill in the first 120 rounds.
    if rounds >= 600 {
        let [_, early, .., late] = fifths;
        assert!(late < early * 1.05, "from {early} MB to {late} MB");
    }
}

/// Returns the median memory in each fifth of the rounds. The memory of a single round varies by 2 %.
fn memory_by_fifth(rounds: &[f64]) -> [f64; 5] {
    std::array::from_fn(|fifth| {
        let [from, to] = [fifth, fifth + 1].map(|at| at * rounds.len() / 5);
        median(rounds[from..to].to_vec())
    })
}
