//! Counts spans and metrics by attributes, without storing them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData},
    },
    trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use tower_otel_trace::Recorder;

/// The number of occurrences of each combination of attribute values.
pub type Counts = BTreeMap<Vec<String>, u64>;

/// Counts spans by attributes.
#[derive(Clone, Debug)]
pub struct SpanCounter {
    keys: &'static [&'static str],
    counts: Arc<Mutex<Counts>>,
}

impl SpanCounter {
    pub fn by(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            counts: Arc::default(),
        }
    }

    /// Returns a provider that samples every span and ignores the sampled flag of a remote parent.
    pub fn provider(&self) -> SdkTracerProvider {
        SdkTracerProvider::builder()
            .with_span_processor(self.clone())
            .with_sampler(Sampler::AlwaysOn)
            .build()
    }

    /// Returns a recorder that samples every span.
    pub fn recorder(&self) -> Recorder {
        Recorder::builder(self.clone())
            .sampler_without_attributes(Sampler::AlwaysOn)
            .delay(Duration::from_millis(50))
            .build()
            .unwrap()
    }

    fn count(&self, span: &SpanData) {
        let values = values(self.keys, span.attributes.iter());
        *self.counts.lock().unwrap().entry(values).or_default() += 1;
    }

    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    pub fn total(&self) -> u64 {
        self.counts.lock().unwrap().values().sum()
    }
}

fn values<'a>(
    keys: &[&str],
    attributes: impl Iterator<Item = &'a KeyValue> + Clone,
) -> Vec<String> {
    let value = |key: &&str| {
        let found = attributes.clone().find(|own| own.key.as_str() == *key);
        found.map_or_else(String::new, |own| match &own.value {
            Value::String(text) => text.to_string(),
            other => other.to_string(),
        })
    };
    keys.iter().map(value).collect()
}

impl SpanProcessor for SpanCounter {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.count(&span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl SpanExporter for SpanCounter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter().for_each(|span| self.count(span));
        Ok(())
    }
}

/// Returns the counts of a metric in the Prometheus text format by some labels, without zeros.
pub fn counts_in_text(text: &str, metric: &str, labels: &[&str]) -> Counts {
    let mut counts = Counts::new();
    for line in text.lines() {
        let Some(rest) = line
            .strip_prefix(metric)
            .and_then(|rest| rest.strip_prefix('{'))
        else {
            continue;
        };
        let (series, value) = rest.rsplit_once("} ").unwrap();
        let label = |label: &&str| {
            let from = format!("{label}=\"");
            let found = series.split("\",").find_map(|one| one.strip_prefix(&from));
            found.unwrap_or_default().trim_end_matches('"').to_owned()
        };
        let value: f64 = value.parse().unwrap();
        if value != 0.0 {
            *counts
                .entry(labels.iter().map(label).collect())
                .or_default() += value as u64;
        }
    }
    counts
}

/// Returns the counts of an OpenTelemetry instrument by some attributes: the samples of a histogram, or
/// a sum.
pub fn counts_of_meter(
    provider: &SdkMeterProvider,
    exporter: &InMemoryMetricExporter,
    name: &str,
    keys: &[&str],
) -> BTreeMap<Vec<String>, i64> {
    exporter.reset();
    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    let mut counts = BTreeMap::new();
    let metrics = exported
        .iter()
        .flat_map(|resource| resource.scope_metrics());
    for metric in metrics.flat_map(|scope| scope.metrics()) {
        if metric.name() != name {
            continue;
        }
        let mut add = |attributes: Vec<KeyValue>, value: i64| {
            if value != 0 {
                *counts.entry(values(keys, attributes.iter())).or_default() += value;
            }
        };
        match metric.data() {
            AggregatedMetrics::I64(MetricData::Sum(sum)) => sum
                .data_points()
                .for_each(|point| add(point.attributes().cloned().collect(), point.value())),
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().for_each(|point| {
                    add(point.attributes().cloned().collect(), point.count() as i64);
                });
            }
            other => panic!("{name} is neither a sum nor a histogram: {other:?}"),
        }
    }
    counts
}
