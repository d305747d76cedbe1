use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::histograms::Histograms;
use super::upkeep::Upkeep;

/// What records, for whoever installs it differently: below other recorders, or for one thread.
///
/// Histograms with buckets are its own, everything else is the exporter's. It keeps the upkeep
/// running: as long as something can be recorded, somebody sorts the exporter's samples.
///
/// ```
/// use tower_otel_metrics::prometheus::Prometheus;
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
    histograms: Arc<Histograms>,
    _upkeep: Arc<Upkeep>,
}

impl Recorder {
    pub(super) fn new(
        inner: PrometheusRecorder,
        histograms: Arc<Histograms>,
        upkeep: Arc<Upkeep>,
    ) -> Self {
        Self {
            inner,
            histograms,
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
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if !self.histograms.describe(&key, &description) {
            self.inner.describe_histogram(key, unit, description);
        }
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        match self.histograms.register(key) {
            Some(histogram) => Histogram::from_arc(histogram),
            None => self.inner.register_histogram(key, metadata),
        }
    }
}
