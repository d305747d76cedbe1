//! The recorder behind the `metrics` facade.

use std::{fmt, sync::Arc};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use crate::{metric_kinds::MetricKind, registry::Registry};

/// A recorder for the [`metrics`] facade.
pub(crate) struct PrometheusRecorder {
    registry: Arc<Registry>,
}

impl PrometheusRecorder {
    pub(crate) const fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl fmt::Debug for PrometheusRecorder {
    /// Omits the recorded values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusRecorder").finish_non_exhaustive()
    }
}

impl metrics::Recorder for PrometheusRecorder {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.registry.describe(&key, MetricKind::Counter, help);
    }

    fn describe_gauge(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.registry.describe(&key, MetricKind::Gauge, help);
    }

    fn describe_histogram(&self, key: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.registry.describe(&key, MetricKind::Histogram, help);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        if let Some(known) = self.registry.counters.find_key(key) {
            return Counter::from_arc(known);
        }
        if !self.registry.allows(key, MetricKind::Counter) {
            return Counter::noop();
        }
        Counter::from_arc(self.registry.counter(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        if let Some(known) = self.registry.gauges.find_key(key) {
            return Gauge::from_arc(known);
        }
        if !self.registry.allows(key, MetricKind::Gauge) {
            return Gauge::noop();
        }
        Gauge::from_arc(self.registry.gauge(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        if let Some(known) = self.registry.histograms.find_key(key) {
            return Histogram::from_arc(known);
        }
        if !self.registry.allows(key, MetricKind::Histogram) {
            return Histogram::noop();
        }
        Histogram::from_arc(self.registry.histogram(key))
    }
}
