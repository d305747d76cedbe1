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

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use campaigns::{
    app,
    attack::{Mission, Tally},
    ledger::{Ending, Kept, Ledger},
    process, setting,
    telling::{Counts, Spans, metered, scraped},
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use suite_tests::net::serve;
use tower::Layer;
use tower_otel_core::observe;
use tower_otel_metrics::{MetricsLayer, Names, prometheus::Prometheus};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt};

const CLIENTS: u64 = 16;

/// What spans and the conventions' metrics say of an exchange.
const KEYS: [&str; 4] = [
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "error.type",
];

/// The same from the ledger.
fn told(ending: &Ending) -> Vec<String> {
    let code = ending.code.map(|code| code.to_string());
    vec![
        ending.method.to_owned(),
        ending.route.unwrap_or_default().to_owned(),
        code.unwrap_or_default(),
        ending.error.clone().unwrap_or_default(),
    ]
}

fn due(endings: &BTreeMap<Ending, u64>, of: impl Fn(&Ending) -> Option<Vec<String>>) -> Counts {
    let mut counts = Counts::new();
    for (ending, times) in endings {
        if let Some(key) = of(ending) {
            *counts.entry(key).or_default() += times;
        }
    }
    counts
}

fn path(ending: &Ending) -> String {
    ending.route.unwrap_or("unmatched").to_owned()
}

/// Waits for what the servers have still to do.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: it did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_an_attack_is_counted_exactly_and_nothing_grows() {
    let requests = setting("ATTACK_REQUESTS", 4_000);
    let seed = setting("ATTACK_SEED", 1);
    println!("{requests} requests, seed {seed}");
    process::count_panics();

    // Who is told.
    let (recorder, prometheus) = Prometheus::builder().native_histograms().build().unwrap();
    metrics::set_global_recorder(recorder).unwrap();
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder()
        .with_reader(
            PeriodicReader::builder(exporter.clone())
                .with_interval(Duration::from_secs(86_400))
                .build(),
        )
        .build();
    let (through_tracing, direct) = (Spans::by(&KEYS), Spans::by(&KEYS));
    let provider = through_tracing.provider();
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("attack"))
            .with_filter(LevelFilter::INFO),
    );
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let direct_provider = direct.provider();

    // Who tells: short names, the conventions' over OpenTelemetry, and labels of strangers.
    let short = MetricsLayer::server().route(app::route).body_sizes();
    let conventions = short
        .clone()
        .names(Names::Conventions)
        .meter_provider(&meters);
    let strange = MetricsLayer::server()
        .rename(|name| format!("strange_{name}"))
        .server_address()
        .label("tenant", |request| {
            let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
            Some(tenant.to_owned().into())
        });
    let metrics = (short, (conventions, strange));
    let spans = TraceLayer::server()
        .route(app::route)
        .body_sizes()
        .expose_span();
    let ledgers = [Ledger::default(), Ledger::default()];
    let kept = |of: usize| Kept(ledgers[of].clone());
    let one = observe((spans.clone(), metrics.clone())).layer(kept(0));
    let other = observe((spans.tracer_provider(&direct_provider), metrics)).layer(kept(1));
    let targets = vec![serve(one).await, serve(other).await];

    // A first wave fills what is filled once: pools, tables, the allocator's pages.
    let tally = Arc::new(Tally::default());
    let attack = |requests: u64, seed: u64| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mission = Mission {
                    targets: targets.clone(),
                    requests,
                    tally: Arc::clone(&tally),
                };
                tokio::spawn(mission.run(seed * CLIENTS + client))
            })
            .collect();
        async {
            for client in clients {
                client.await.unwrap();
            }
        }
    };
    let settled = || {
        let all = |count: &dyn Fn(&Ledger) -> u64| -> u64 { ledgers.iter().map(count).sum() };
        all(&Ledger::begun) == all(&Ledger::ended)
            && through_tracing.total() + direct.total() == all(&Ledger::ended)
    };
    let start = Instant::now();
    attack(requests / 10, seed).await;
    until("the first wave ends", settled).await;
    let (early, descriptors) = (process::resident(), process::descriptors());
    attack(requests, seed + 1).await;
    until("every exchange ends", settled).await;
    until("every connection is closed", || {
        process::descriptors() <= descriptors
    })
    .await;
    let took = start.elapsed();
    let (late, peak) = (process::resident(), process::peak());

    let mut endings = BTreeMap::new();
    for ledger in &ledgers {
        for (ending, times) in ledger.endings() {
            *endings.entry(ending).or_default() += times;
        }
    }
    let all: u64 = endings.values().sum();
    let of = |count: &dyn Fn(&Ledger) -> u64| -> u64 { ledgers.iter().map(count).sum() };
    let text = prometheus.render();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
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
         {descriptors} descriptors, then {}; {series} lines of /metrics; {} panics",
        process::descriptors(),
        process::panics(),
    );

    // Spans, against the ledger of their server.
    for (spans, ledger) in [(&through_tracing, &ledgers[0]), (&direct, &ledgers[1])] {
        assert_eq!(
            spans.counts(),
            due(&ledger.endings(), |ending| Some(told(ending)))
        );
    }
    // Counters and histograms, against both.
    assert_eq!(
        scraped(&text, "http_requests_total", &["method", "path", "status"]),
        due(&endings, |ending| Some(vec![
            ending.method.to_owned(),
            path(ending),
            ending.status()
        ]))
    );
    let by_path = |ending: &Ending| Some(vec![ending.method.to_owned(), path(ending)]);
    assert_eq!(
        scraped(
            &text,
            "http_request_duration_seconds_count",
            &["method", "path"]
        ),
        due(&endings, by_path)
    );
    assert_eq!(
        scraped(&text, "http_responses_aborted_total", &["method", "path"]),
        due(&endings, |ending| by_path(ending)
            .filter(|_| ending.aborted))
    );
    assert_eq!(
        metered(&meters, &exporter, "http.server.request.duration", &KEYS),
        due(&endings, |ending| Some(told(ending)))
            .into_iter()
            .map(|(key, times)| (key, times as i64))
            .collect()
    );
    // Where strangers name the labels, all is counted, and in few series.
    let strange = scraped(&text, "strange_http_requests_total", &["status"]);
    assert_eq!(strange.values().sum::<u64>(), all);
    assert!(series < 60_000, "{series} lines of /metrics");
    // Nothing is in flight any more.
    for gauge in ["http_requests_in_flight", "strange_http_requests_in_flight"] {
        assert_eq!(scraped(&text, gauge, &[]), Counts::new(), "{gauge}");
    }
    let active = metered(&meters, &exporter, "http.server.active_requests", &KEYS);
    assert_eq!(active, BTreeMap::new());
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
