//! The recorder behind the `metrics` facade.

use std::{fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusRecorder as ExporterRecorder;

use crate::{metric_kinds::MetricKind, registry::Registry, upkeep::UpkeepThread};

/// A recorder for the [`metrics`] facade. Histograms without buckets are recorded by
/// metrics-exporter-prometheus, everything else by this crate.
pub(crate) struct PrometheusRecorder {
    summaries: ExporterRecorder,
    registry: Arc<Registry>,
    _upkeep: Arc<UpkeepThread>,
}

impl PrometheusRecorder {
    pub(crate) fn new(
        summaries: ExporterRecorder,
        registry: Arc<Registry>,
        upkeep: Arc<UpkeepThread>,
    ) -> Self {
        Self {
            summaries,
            registry,
            _upkeep: upkeep,
        }
    }
}

impl fmt::Debug for PrometheusRecorder {
    /// Omits the recorded values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusRecorder").finish_non_exhaustive()
    }
}

impl metrics::Recorder for PrometheusRecorder {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.registry.describe_counter(&key, description);
    }

    fn describe_gauge(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.registry.describe_gauge(&key, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if self.registry.has_buckets(&key) {
            self.registry.describe_histogram(&key, description);
        } else {
            self.summaries.describe_histogram(key, unit, description);
        }
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        if !self.registry.allows(key, MetricKind::Counter) {
            return Counter::noop();
        }
        Counter::from_arc(self.registry.counter(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        if !self.registry.allows(key, MetricKind::Gauge) {
            return Gauge::noop();
        }
        Gauge::from_arc(self.registry.gauge(key))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        if !self.registry.allows(key, MetricKind::Histogram) {
            return Histogram::noop();
        }
        match self.registry.histogram(key) {
            Some(histogram) => Histogram::from_arc(histogram),
            None => self.summaries.register_histogram(key, metadata),
        }
    }
}
