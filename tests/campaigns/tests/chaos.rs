//! The collector is killed, restarted, stalled, and made to refuse, reject and babble, while the
//! attack goes on: nothing of it is seen by a request or by a metric, and no span is lost unnoticed.
//!
//! ```console
//! CHAOS_ROUNDS=240 cargo test --release -p campaigns --test chaos -- --nocapture
//! ```
//!
//! `CHAOS_SEED` draws other ones.

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
    attack::Mission,
    ledger::{Kept, Ledger},
    pipeline::Pipeline,
    process, setting,
    signals::{self, Metrics, MetricsLayers},
    until,
};
use collector::{
    Collector, Mood, Probe,
    paired::{interval, median, percentiles, turns},
};
use opentelemetry::trace::TracerProvider;
use suite_tests::net::serve;
use tokio::runtime::Builder;
use tower::Layer;
use tower_otel_core::observe;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt};

const CLIENTS: u64 = 4;

/// How many requests of a probe are one round at least, and how long one is: some exports have to
/// meet what has become of the collector.
const REQUESTS: usize = 100;
const ROUND: Duration = Duration::from_millis(200);

/// What becomes of the collector, round after round; `None` is killed. What is well serves as a
/// control.
const LIFE: [Option<Mood>; 8] = [
    None,
    Some(Mood::Takes),
    Some(Mood::Hangs),
    Some(Mood::Takes),
    Some(Mood::Babbles),
    Some(Mood::Takes),
    Some(Mood::Refuses),
    Some(Mood::Rejects),
];

/// Each of its batches may have been taken when its answer was lost.
const BATCH: u64 = 512;

/// Two servers that send their spans to one collector.
struct Side {
    collector: Collector,
    pipeline: Pipeline,
    /// Of the SDK's spans, and of the recorder's.
    ledgers: [Ledger; 2],
    servers: [SocketAddr; 2],
}

impl Side {
    async fn start(name: &str, metrics: &MetricsLayers) -> Self {
        let collector = Collector::counting();
        let pipeline = Pipeline::start(name, collector.endpoint());
        let ledgers = [Ledger::default(), Ledger::default()];
        let kept = |of: usize| Kept(ledgers[of].clone());
        let sdk = signals::spans().tracer_provider(pipeline.provider());
        let recorder = signals::spans().recorder(pipeline.recorder());
        let servers = [
            serve(observe((sdk, metrics.clone())).layer(kept(0))).await,
            serve(observe((recorder, metrics.clone())).layer(kept(1))).await,
        ];
        Self {
            collector,
            pipeline,
            ledgers,
            servers,
        }
    }

    /// A connection to each of the servers.
    fn probes(&self) -> [Probe; 2] {
        self.servers.map(|to| Probe::connect(to, "/fast/probe"))
    }

    /// Every span was delivered or counted as lost, and the collector agrees. How many were lost.
    fn check(&self, also: u64, restarts: u64) -> [u64; 2] {
        let exchanges = [self.ledgers[0].ended() + also, self.ledgers[1].ended()];
        let fates = self.pipeline.fates(exchanges[0]);
        for (at, name) in self.pipeline.names().iter().enumerate() {
            let (came, rejected) = self.collector.count(name);
            // A recorder's exporter keeps to itself what was rejected.
            let taken = if at == 0 { came } else { came + rejected };
            let fate = fates[at];
            println!("{name}: {} spans, {fate:?}, {came} came", exchanges[at]);
            assert_eq!(fate.delivered + fate.lost, exchanges[at], "{name}");
            let unanswered = taken.checked_sub(fate.delivered);
            assert!(
                unanswered <= Some(restarts * BATCH),
                "{name}: {unanswered:?}"
            );
            assert!(unanswered.is_some(), "{name}: {taken} were taken");
        }
        fates.map(|fate| fate.lost)
    }
}

/// The medians of a probe of each side, in rounds that were like this.
#[derive(Default)]
struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    /// How much longer a request takes beside the ill collector, with an interval of 95 %.
    fn print(&self, what: &str, seed: &mut u64) {
        let ratios: Vec<_> = self.0.iter().map(|[well, ill]| ill / well).collect();
        let [low, high] = interval(&ratios, seed);
        let micros = |side: usize| median(self.0.iter().map(|pair| pair[side]).collect());
        println!(
            "{what:<24} {:4} rounds, p50 {:6.1} µs, well {:6.1} µs, {:.3} [{low:.3}, {high:.3}]",
            self.0.len(),
            micros(1),
            micros(0),
            median(ratios)
        );
    }
}

#[test]
fn whatever_becomes_of_the_collector_requests_and_totals_are_what_they_are() {
    let rounds = setting("CHAOS_ROUNDS", 8) as usize;
    let seed = setting("CHAOS_SEED", 1);
    println!("{rounds} rounds, seed {seed}");
    process::count_panics();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();

    let metrics = Metrics::install();
    let layers = metrics.layers();
    let well = runtime.block_on(Side::start("well", &layers));
    let mut ill = runtime.block_on(Side::start("ill", &layers));
    // There is one subscriber: its spans go where things happen.
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer()
            .with_tracer(ill.pipeline.provider().tracer("chaos"))
            .with_filter(LevelFilter::INFO),
    );
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let through_tracing = Ledger::default();
    let traced = observe((signals::spans(), layers)).layer(Kept(through_tracing.clone()));
    let mut targets = vec![runtime.block_on(serve(traced))];
    targets.extend([well.servers, ill.servers].concat());
    let ledgers: Vec<_> = [&well.ledgers, &ill.ledgers]
        .into_iter()
        .flatten()
        .cloned()
        .chain([through_tracing.clone()])
        .collect();

    let mission = Mission::new(targets);
    let attack = {
        let mission = mission.clone();
        runtime.spawn(async move { mission.wave(CLIENTS, u64::MAX, seed).await })
    };
    // Two of the side that is well, then two of the ill one.
    let mut probes: Vec<_> = [&well, &ill].into_iter().flat_map(Side::probes).collect();
    let mut draws = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut told: [[Pairs; 2]; LIFE.len()] = Default::default();
    let (start, mut early, mut restarts, mut asked) = (Instant::now(), 0.0, 0, 0);
    for round in 0..rounds {
        if round == rounds / 10 {
            early = process::resident();
        }
        let at = round % LIFE.len();
        ill.collector.kill();
        if let Some(mood) = LIFE[at] {
            ill.collector.run(false, mood);
            restarts += 1;
        }
        // One request of each in turns: whatever else goes on, it goes on for all of them.
        let mut took = [const { Vec::new() }; 4];
        let begun = Instant::now();
        while took[0].len() < REQUESTS || begun.elapsed() < ROUND {
            for turn in turns(4, &mut draws) {
                took[turn].push(probes[turn].ask());
            }
        }
        asked += took.iter().map(Vec::len).sum::<usize>();
        let medians = took.map(|took| percentiles(took)[0]);
        for (way, pairs) in told[at].iter_mut().enumerate() {
            pairs.0.push([medians[way], medians[2 + way]]);
        }
    }

    // It is well again, and everything comes to its end.
    ill.collector.kill();
    ill.collector.run(false, Mood::Takes);
    restarts += 1;
    drop(probes);
    mission.called_off.store(true, Relaxed);
    let (late, peak, took) = (process::resident(), process::peak(), start.elapsed());
    runtime.block_on(async {
        attack.await.unwrap();
        until("every exchange ends", || {
            ledgers
                .iter()
                .all(|ledger| ledger.begun() == ledger.ended())
        })
        .await;
    });
    let stopping = Instant::now();
    well.pipeline.stop();
    ill.pipeline.stop();
    assert!(stopping.elapsed() < Duration::from_secs(30));

    let endings = Ledger::sum(&ledgers);
    let all: u64 = endings.values().sum();
    let tally = &mission.tally;
    println!(
        "{all} came in, {asked} of them of four probes, {restarts} collectors one after another, \
         in {took:.1?}"
    );
    println!("{tally:?}");
    println!(
        "memory {early:.1} MB after a tenth, {late:.1} MB at the end, {peak:.1} MB at most; \
         {} panics",
        process::panics()
    );
    for (way, name) in ["sdk", "recorder"].into_iter().enumerate() {
        for (at, mood) in LIFE.iter().enumerate() {
            let what = mood.map_or("killed".to_owned(), |mood| format!("{mood:?}"));
            told[at][way].print(&format!("{name}, {what}"), &mut draws);
        }
        let of = |well: bool| {
            let rounds = LIFE.iter().zip(&told);
            let rounds = rounds.filter(|(mood, _)| (**mood == Some(Mood::Takes)) == well);
            Pairs(rounds.flat_map(|(_, pairs)| pairs[way].0.clone()).collect())
        };
        of(true).print(&format!("{name}, all that are well"), &mut draws);
        of(false).print(&format!("{name}, all others"), &mut draws);
    }

    println!("{} lines of /metrics", metrics.check(&endings));
    well.check(0, 0);
    let lost = ill.check(through_tracing.ended(), restarts);
    assert!(lost.iter().all(|lost| *lost > 0), "no span was lost");
    assert_eq!(tally.given_up.load(Relaxed), 0, "something has hung");
    assert_eq!(process::panics(), 0);
    // Short ones say nothing about memory.
    if rounds >= 200 {
        assert!(late < early * 1.25, "from {early} MB to {late} MB");
    }
}
