//! An OpenTelemetry meter provider that can be read at any time.

use std::sync::{Mutex, OnceLock, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, Metric, MetricData},
};

use crate::series::{Histogram, Series, SeriesValue};

/// A meter provider that is created on first use, because its reader spawns a thread.
#[derive(Debug, Default)]
pub(crate) struct InMemoryMeter {
    provider: OnceLock<(SdkMeterProvider, InMemoryMetricExporter)>,
    /// Locked while a snapshot is exported and read. Another snapshot would reset the exporter.
    snapshot: Mutex<()>,
}

impl InMemoryMeter {
    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        let (provider, _) = self.provider.get_or_init(|| {
            let exporter = InMemoryMetricExporter::default();
            let provider = SdkMeterProvider::builder()
                .with_periodic_exporter(exporter.clone())
                .build();
            (provider, exporter)
        });
        provider
    }

    pub(crate) fn series(&self) -> Vec<Series> {
        let Some((provider, exporter)) = self.provider.get() else {
            return Vec::new();
        };
        let _snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        // Values are cumulative: the last export has all of them.
        exporter.reset();
        let _ = provider.force_flush();
        let exported = exporter.get_finished_metrics().unwrap_or_default();
        let last = exported.last().into_iter();
        last.flat_map(|resource| resource.scope_metrics())
            .flat_map(|scope| scope.metrics())
            .flat_map(metric_series)
            .collect()
    }
}

fn metric_series(metric: &Metric) -> Vec<Series> {
    #[allow(clippy::cast_precision_loss, reason = "test values are below 2^53")]
    match metric.data() {
        AggregatedMetrics::F64(data) => data_series(metric.name(), data, |value| value),
        AggregatedMetrics::U64(data) => data_series(metric.name(), data, |value| value as f64),
        AggregatedMetrics::I64(data) => data_series(metric.name(), data, |value| value as f64),
    }
}

fn data_series<T: Copy>(name: &str, data: &MetricData<T>, to_float: fn(T) -> f64) -> Vec<Series> {
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|point| {
                point_series(
                    name,
                    point.attributes(),
                    SeriesValue::Gauge(to_float(point.value())),
                )
            })
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|point| {
                let value = to_float(point.value());
                let value = if sum.is_monotonic() {
                    SeriesValue::Counter(value)
                } else {
                    SeriesValue::Gauge(value)
                };
                point_series(name, point.attributes(), value)
            })
            .collect(),
        MetricData::Histogram(histogram) => histogram
            .data_points()
            .map(|point| {
                let (count, sum) = (point.count(), to_float(point.sum()));
                let value = SeriesValue::Histogram(Histogram { count, sum });
                point_series(name, point.attributes(), value)
            })
            .collect(),
        MetricData::ExponentialHistogram(histogram) => histogram
            .data_points()
            .map(|point| {
                let (count, sum) = (point.count() as u64, to_float(point.sum()));
                let value = SeriesValue::Histogram(Histogram { count, sum });
                point_series(name, point.attributes(), value)
            })
            .collect(),
    }
}

fn point_series<'a>(
    name: &str,
    attributes: impl Iterator<Item = &'a KeyValue>,
    value: SeriesValue,
) -> Series {
    let labels = attributes.map(|KeyValue { key, value, .. }| (key.as_str(), value.as_str()));
    Series::new(name, labels, value)
}
