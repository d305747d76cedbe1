//! The layers of a campaign, and whether what they tell is what the ledger says.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tower_otel_metrics::{MetricsLayer, Names, OtelMetrics};
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::TraceLayer;

use crate::{
    app,
    ledger::Ending,
    telling::{Counts, metered, scraped},
};

/// What spans and the conventions' metrics say of an exchange.
pub const KEYS: [&str; 4] = [
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "error.type",
];

/// The same from the ledger.
pub fn told(ending: &Ending) -> Option<Vec<String>> {
    let code = ending.code.map(|code| code.to_string());
    Some(vec![
        ending.method.to_owned(),
        ending.route.unwrap_or_default().to_owned(),
        code.unwrap_or_default(),
        ending.error.clone().unwrap_or_default(),
    ])
}

/// What has to be told of these, by what an ending is told as.
pub fn due(endings: &BTreeMap<Ending, u64>, of: impl Fn(&Ending) -> Option<Vec<String>>) -> Counts {
    let mut counts = Counts::new();
    for (ending, times) in endings {
        if let Some(key) = of(ending) {
            *counts.entry(key).or_default() += times;
        }
    }
    counts
}

/// Spans, before it is said where they go.
pub fn spans() -> TraceLayer {
    TraceLayer::server()
        .route(app::route)
        .body_sizes()
        .expose_span()
}

/// Short names, the conventions' over OpenTelemetry, and labels of strangers.
pub type MetricsLayers = (MetricsLayer, (MetricsLayer<OtelMetrics>, MetricsLayer));

/// Who is told of metrics.
#[derive(Debug)]
pub struct Metrics {
    prometheus: Prometheus,
    meters: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Metrics {
    /// With a recorder that is the process's from now on.
    pub fn install() -> Self {
        let (recorder, prometheus) = Prometheus::builder().native_histograms().build().unwrap();
        metrics::set_global_recorder(recorder).unwrap();
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(86_400))
            .build();
        Self {
            prometheus,
            meters: SdkMeterProvider::builder().with_reader(reader).build(),
            exporter,
        }
    }

    /// Each time with tables of series of their own; clones share them.
    pub fn layers(&self) -> MetricsLayers {
        let short = MetricsLayer::server().route(app::route).body_sizes();
        let conventions = short
            .clone()
            .names(Names::Conventions)
            .meter_provider(&self.meters);
        let strange = MetricsLayer::server()
            .rename(|name| format!("strange_{name}"))
            .server_address()
            .label("tenant", |request| {
                let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
                Some(tenant.to_owned().into())
            });
        (short, (conventions, strange))
    }

    /// Every total is that of the ledger, nothing is in flight, and there are few series: as many
    /// lines of `/metrics` as are returned.
    pub fn check(&self, endings: &BTreeMap<Ending, u64>) -> usize {
        let text = self.prometheus.render();
        assert_eq!(
            scraped(&text, "http_requests_total", &["method", "path", "status"]),
            due(endings, |ending| Some(vec![
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
            due(endings, by_path)
        );
        assert_eq!(
            scraped(&text, "http_responses_aborted_total", &["method", "path"]),
            due(endings, |ending| by_path(ending).filter(|_| ending.aborted))
        );
        let metered = |name| metered(&self.meters, &self.exporter, name, &KEYS);
        assert_eq!(
            metered("http.server.request.duration"),
            due(endings, told)
                .into_iter()
                .map(|(key, times)| (key, times as i64))
                .collect()
        );
        // Where strangers name the labels, all is counted, and in few series.
        let strange = scraped(&text, "strange_http_requests_total", &["status"]);
        assert_eq!(strange.values().sum::<u64>(), endings.values().sum::<u64>());
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series < 60_000, "{series} lines of /metrics");
        for gauge in ["http_requests_in_flight", "strange_http_requests_in_flight"] {
            assert_eq!(scraped(&text, gauge, &[]), Counts::new(), "{gauge}");
        }
        assert_eq!(metered("http.server.active_requests"), BTreeMap::new());
        series
    }
}

fn path(ending: &Ending) -> String {
    ending.route.unwrap_or("unmatched").to_owned()
}
