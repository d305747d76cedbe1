use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::registry::Registry;
use crate::upkeep::Upkeep;

/// What records, for whoever installs it differently: below other recorders, or for one thread.
///
/// Histograms without buckets are the exporter's, everything else is its own. It keeps the upkeep
/// running: as long as something can be recorded, somebody sorts the exporter's samples.
///
/// ```
/// use tower_otel_prometheus::Prometheus;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (recorder, prometheus) = Prometheus::builder().build()?;
/// metrics::with_local_recorder(&recorder, || {
///     metrics::counter!("auth_failures_total", "reason" => "expired").increment(1);
/// });
/// assert!(prometheus.render().contains("auth_failures_total{reason=\"expired\"} 1"));
/// # Ok(())
/// # }
/// ```
pub struct Recorder {
    inner: PrometheusRecorder,
    registry: Arc<Registry>,
    _upkeep: Arc<Upkeep>,
}

impl Recorder {
    pub(crate) fn new(
        inner: PrometheusRecorder,
        registry: Arc<Registry>,
        upkeep: Arc<Upkeep>,
    ) -> Self {
        Self {
            inner,
            registry,
            _upkeep: upkeep,
        }
    }
}

impl fmt::Debug for Recorder {
    /// Without the recorded values, which may be many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.registry.describe_counter(&key, description);
    }

    fn describe_gauge(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.registry.describe_gauge(&key, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if let Some(description) = self.registry.describe_histogram(&key, description) {
            self.inner.describe_histogram(key, unit, description);
        }
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.registry.counter(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.registry.gauge(key))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        match self.registry.histogram(key) {
            Some(histogram) => Histogram::from_arc(histogram),
            None => self.inner.register_histogram(key, metadata),
        }
    }
}
