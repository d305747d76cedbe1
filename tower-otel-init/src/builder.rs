//! What the code has to say.

use std::time::Duration;

use opentelemetry_semantic_conventions::resource as key;

use crate::choice::{LogFormat, LogsExporter, MetricsExporter, Protocol, TracesExporter};
use crate::config::Settings;
use crate::sampler::Sampler;

/// Says what the variables shall not decide. Made by
/// [`Telemetry::builder`](crate::Telemetry::builder).
#[derive(Clone, Debug)]
#[must_use = "nothing is started before `install` or `layers`"]
pub struct Builder {
    pub(crate) settings: Settings,
}

impl Builder {
    /// The name of the service, whatever the variables say.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.settings.service_name = Some(name.into());
        self
    }

    /// The version of the service, commonly `env!("CARGO_PKG_VERSION")`.
    pub fn service_version(self, version: impl Into<String>) -> Self {
        self.attribute(key::SERVICE_VERSION, version)
    }

    /// An attribute of the resource.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.attributes.push((key.into(), value.into()));
        self
    }

    /// Where the collector is, for all signals. Over HTTP, `/v1/traces` and so on come after it.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// How the collector is spoken to; gRPC unless told.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.protocol = Some(protocol);
        self
    }

    /// A header for the collector, commonly to be let in. Its value is shown nowhere.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// How long an export may take, with all its attempts; 10 seconds unless told.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Which traces are recorded; a tenth of those that begin here unless told.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.settings.sampler = Some(sampler);
        self
    }

    /// Where spans go; to a collector unless told.
    pub fn traces(mut self, exporter: TracesExporter) -> Self {
        self.settings.traces = Some(exporter);
        self
    }

    /// Where metrics go; to a Prometheus recorder unless told.
    pub fn metrics(mut self, exporter: MetricsExporter) -> Self {
        self.settings.metrics = Some(exporter);
        self
    }

    /// Metrics go to this Prometheus recorder, with buckets and formats of your own.
    ///
    /// ```
    /// use tower_otel_init::Telemetry;
    /// use tower_otel_prometheus::Prometheus;
    ///
    /// let recorder = Prometheus::builder().native_histograms();
    /// let builder = Telemetry::builder("users").prometheus(recorder);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, recorder: tower_otel_prometheus::PrometheusBuilder) -> Self {
        self.settings.recorder = Some(recorder);
        self.metrics(MetricsExporter::Prometheus)
    }

    /// Where log records go beside the lines; nowhere unless told.
    pub fn logs(mut self, exporter: LogsExporter) -> Self {
        self.settings.logs = Some(exporter);
        self
    }

    /// How many ended spans wait for their export at most; 2048 unless told.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.settings.queue_size = Some(spans);
        self
    }

    /// How many spans are sent at once at most; 512 unless told.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.settings.batch_size = Some(spans);
        self
    }

    /// How long a span waits for others at most; 5 seconds unless told.
    pub fn schedule_delay(mut self, delay: Duration) -> Self {
        self.settings.schedule_delay = Some(delay);
        self
    }

    /// How often metrics are pushed or printed; every minute unless told.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.settings.metric_interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// How log lines look; JSON unless told.
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.settings.log_format = Some(format);
        self
    }

    /// Which log lines are written, as of [`EnvFilter`](tracing_subscriber::EnvFilter); `info` and
    /// above unless told. Spans are not concerned.
    pub fn log_filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.log_filter = Some(directives.into());
        self
    }
}
