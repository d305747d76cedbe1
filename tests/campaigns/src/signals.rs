//! The layers of a campaign, and the comparison of their metrics with the ledger.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tower_otel_metrics::{MetricsLayer, Names, OtelMetrics};
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::TraceLayer;

use crate::{
    app,
    counts::{Counts, counts_in_text, counts_of_meter},
    ledger::Outcome,
};

/// The compared attributes of spans, and of metrics with the names of the conventions.
pub const ATTRIBUTES: [&str; 4] = [
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "error.type",
];

/// Returns the values of [`ATTRIBUTES`] for an outcome.
pub fn attribute_values(outcome: &Outcome) -> Option<Vec<String>> {
    let code = outcome.code.map(|code| code.to_string());
    Some(vec![
        outcome.method.to_owned(),
        outcome.route.unwrap_or_default().to_owned(),
        code.unwrap_or_default(),
        outcome.error.clone().unwrap_or_default(),
    ])
}

/// Returns the expected counts of outcomes, by a key for each outcome.
pub fn expected_counts(
    outcomes: &BTreeMap<Outcome, u64>,
    key: impl Fn(&Outcome) -> Option<Vec<String>>,
) -> Counts {
    let mut counts = Counts::new();
    for (outcome, times) in outcomes {
        if let Some(key) = key(outcome) {
            *counts.entry(key).or_default() += times;
        }
    }
    counts
}

/// A trace layer without a span backend.
pub fn spans() -> TraceLayer {
    TraceLayer::server()
        .route(app::route)
        .body_sizes()
        .expose_span()
}

/// A layer with short names, a layer with the names of the conventions over OpenTelemetry, and a layer with labels from
/// client input.
pub type MetricsLayers = (MetricsLayer, (MetricsLayer<OtelMetrics>, MetricsLayer));

/// The metric backends of a campaign.
#[derive(Debug)]
pub struct Metrics {
    prometheus: Prometheus,
    meters: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Metrics {
    /// Installs the recorder of the process.
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

    /// Creates layers with new tables of series. Clones of a layer share its table.
    pub fn layers(&self) -> MetricsLayers {
        let short = MetricsLayer::server().route(app::route).body_sizes();
        let conventions = short
            .clone()
            .names(Names::Conventions)
            .meter_provider(&self.meters);
        let untrusted = MetricsLayer::server()
            .rename(|name| format!("strange_{name}"))
            .server_address()
            .label("tenant", |request| {
                let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
                Some(tenant.to_owned().into())
            });
        (short, (conventions, untrusted))
    }

    /// Returns the number of lines of `/metrics`.
    pub fn series(&self) -> usize {
        series_of(&self.prometheus.render())
    }

    /// Asserts that every total equals the total of the ledger, that no exchange is in flight and that the number of
    /// series is bounded. Returns the number of lines of `/metrics`.
    pub fn check(&self, outcomes: &BTreeMap<Outcome, u64>) -> usize {
        let text = self.prometheus.render();
        assert_eq!(
            counts_in_text(&text, "http_requests_total", &["method", "path", "status"]),
            expected_counts(outcomes, |outcome| Some(vec![
                outcome.method.to_owned(),
                path(outcome),
                outcome.status()
            ]))
        );
        let by_path = |outcome: &Outcome| Some(vec![outcome.method.to_owned(), path(outcome)]);
        assert_eq!(
            counts_in_text(
                &text,
                "http_request_duration_seconds_count",
                &["method", "path"]
            ),
            expected_counts(outcomes, by_path)
        );
        assert_eq!(
            counts_in_text(&text, "http_responses_aborted_total", &["method", "path"]),
            expected_counts(outcomes, |outcome| by_path(outcome)
                .filter(|_| outcome.aborted))
        );
        let counts_of_meter =
            |name| counts_of_meter(&self.meters, &self.exporter, name, &ATTRIBUTES);
        assert_eq!(
            counts_of_meter("http.server.request.duration"),
            expected_counts(outcomes, attribute_values)
                .into_iter()
                .map(|(key, times)| (key, times as i64))
                .collect()
        );
        // With labels from client input, every request is counted, in a bounded number of series.
        let untrusted = counts_in_text(&text, "strange_http_requests_total", &["status"]);
        assert_eq!(
            untrusted.values().sum::<u64>(),
            outcomes.values().sum::<u64>()
        );
        let series = series_of(&text);
        assert!(series < 60_000, "{series} lines of /metrics");
        for gauge in ["http_requests_in_flight", "strange_http_requests_in_flight"] {
            assert_eq!(counts_in_text(&text, gauge, &[]), Counts::new(), "{gauge}");
        }
        assert_eq!(
            counts_of_meter("http.server.active_requests"),
            BTreeMap::new()
        );
        series
    }
}

fn series_of(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

fn path(outcome: &Outcome) -> String {
    outcome.route.unwrap_or("unmatched").to_owned()
}
