//! A meter of OpenTelemetry whose values can be read at any time.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, Metric, MetricData},
};

use crate::metrics::{Histogram, Reading, Series};

/// Made when somebody asks for it, because its reader has a thread.
#[derive(Debug, Default)]
pub(crate) struct Meter(OnceLock<(SdkMeterProvider, InMemoryMetricExporter)>);

impl Meter {
    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        let (provider, _) = self.0.get_or_init(|| {
            let exporter = InMemoryMetricExporter::default();
            let provider = SdkMeterProvider::builder()
                .with_periodic_exporter(exporter.clone())
                .build();
            (provider, exporter)
        });
        provider
    }

    pub(crate) fn series(&self) -> Vec<Series> {
        let Some((provider, exporter)) = self.0.get() else {
            return Vec::new();
        };
        // Values are cumulative, so that the last export has them all.
        exporter.reset();
        let _ = provider.force_flush();
        let exported = exporter.get_finished_metrics().unwrap_or_default();
        let last = exported.last().into_iter();
        last.flat_map(|resource| resource.scope_metrics())
            .flat_map(|scope| scope.metrics())
            .flat_map(series)
            .collect()
    }
}

fn series(metric: &Metric) -> Vec<Series> {
    #[allow(clippy::cast_precision_loss, reason = "a test does not count that far")]
    match metric.data() {
        AggregatedMetrics::F64(data) => points(metric.name(), data, |value| value),
        AggregatedMetrics::U64(data) => points(metric.name(), data, |value| value as f64),
        AggregatedMetrics::I64(data) => points(metric.name(), data, |value| value as f64),
    }
}

fn points<T: Copy>(name: &str, data: &MetricData<T>, float: fn(T) -> f64) -> Vec<Series> {
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|point| {
                one(
                    name,
                    point.attributes(),
                    Reading::Gauge(float(point.value())),
                )
            })
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|point| {
                let value = float(point.value());
                let reading = if sum.is_monotonic() {
                    Reading::Counter(value)
                } else {
                    Reading::Gauge(value)
                };
                one(name, point.attributes(), reading)
            })
            .collect(),
        MetricData::Histogram(histogram) => histogram
            .data_points()
            .map(|point| {
                let (count, sum) = (point.count(), float(point.sum()));
                let reading = Reading::Histogram(Histogram { count, sum });
                one(name, point.attributes(), reading)
            })
            .collect(),
        MetricData::ExponentialHistogram(histogram) => histogram
            .data_points()
            .map(|point| {
                let (count, sum) = (point.count() as u64, float(point.sum()));
                let reading = Reading::Histogram(Histogram { count, sum });
                one(name, point.attributes(), reading)
            })
            .collect(),
    }
}

fn one<'a>(name: &str, attributes: impl Iterator<Item = &'a KeyValue>, reading: Reading) -> Series {
    let labels = attributes.map(|KeyValue { key, value, .. }| (key.as_str(), value.as_str()));
    Series::new(name, labels, reading)
}
