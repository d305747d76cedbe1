//! The builder of telemetry.

use std::time::Duration;

use crate::options::{LogFormat, LogsExporter, MetricsExporter, Protocol, TracesExporter};
use crate::sampler::Sampler;
use crate::settings::Settings;

/// Configures telemetry in code. Every method takes precedence over the variable of that setting.
///
/// Returned by [`Telemetry::builder`](crate::Telemetry::builder).
#[derive(Clone, Debug)]
#[must_use = "telemetry starts with `install`, `layers` or `local`"]
pub struct TelemetryBuilder {
    pub(crate) settings: Settings,
}

impl TelemetryBuilder {
    pub(crate) fn new(default_service_name: &str) -> Self {
        Self {
            settings: Settings {
                default_service_name: Some(default_service_name.to_owned()),
                ..Settings::default()
            },
        }
    }

    /// Adds an attribute to the resource. `service.name` takes precedence over the name that
    /// [`Telemetry::builder`](crate::Telemetry::builder) gets, and over the variables.
    ///
    /// ```
    /// use tower_otel_init::Telemetry;
    ///
    /// let version = env!("CARGO_PKG_VERSION");
    /// let builder = Telemetry::builder("users").resource_attribute("service.version", version);
    /// # drop(builder);
    /// ```
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings
            .resource_attributes
            .push((key.into(), value.into()));
        self
    }

    /// Sets the URL of the collector for all signals. Over HTTP, `/v1/traces`, `/v1/metrics` or
    /// `/v1/logs` is appended. Default: `http://localhost:4317`, over HTTP `http://localhost:4318`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Sets the protocol of the collector for all signals. Default: gRPC.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.protocol = Some(protocol);
        self
    }

    /// Adds a header to every request to the collector, for example for authentication. Its value is
    /// never logged.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the timeout of an export, including its retries. Default: 10 seconds.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.settings.export_timeout = Some(timeout);
        self
    }

    /// Sets the sampler. Default: `Sampler::ratio(0.1).parent_based()`.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.settings.sampler = Some(sampler);
        self
    }

    /// Sets the exporter of spans. Default: [`TracesExporter::Otlp`].
    pub fn traces(mut self, exporter: TracesExporter) -> Self {
        self.settings.traces = Some(exporter);
        self
    }

    /// Adds an exporter of metrics. Default: [`MetricsExporter::Prometheus`], or none without the
    /// feature `prometheus`. [`MetricsExporter::None`] removes those added before.
    ///
    /// With OTLP and Prometheus, the metrics of `/metrics` are pushed to the collector,
    /// [too](crate#metrics-to-a-collector-and-metrics-at-once):
    ///
    /// ```
    /// use tower_otel_init::{MetricsExporter, Telemetry};
    ///
    /// let builder = Telemetry::builder("users")
    ///     .metrics(MetricsExporter::Prometheus)
    ///     .metrics(MetricsExporter::Otlp);
    /// # drop(builder);
    /// ```
    pub fn metrics(mut self, exporter: MetricsExporter) -> Self {
        let exporters = self.settings.metrics.unwrap_or_default();
        self.settings.metrics = Some(exporters.with(exporter));
        self
    }

    /// Adds Prometheus to the exporters of metrics, with this configuration of its recorder. Exemplars are
    /// added to it, unless `OTEL_METRICS_EXEMPLAR_FILTER` is `always_off`.
    ///
    /// ```
    /// use tower_otel_init::{Prometheus, Telemetry};
    ///
    /// let recorder = Prometheus::builder().native_histograms();
    /// let builder = Telemetry::builder("users").prometheus(recorder);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, recorder: tower_otel_prometheus::PrometheusBuilder) -> Self {
        self.settings.prometheus = Some(recorder);
        self.metrics(MetricsExporter::Prometheus)
    }

    /// Serves a page for a browser on this address: requests and their durations by route, recent traces, and the state
    /// of the exporters. It also changes the settings of [`Control`](crate::Control). Default: none. Port 0 is a free one;
    /// [`Telemetry::page`](crate::Telemetry::page) returns it.
    ///
    /// With the page, all traces are sampled unless the sampler is set, and spans are exported within a second. They are
    /// sent to a collector only if its endpoint or the exporter is set.
    ///
    /// Everybody who reaches the address can read the traces. An address that is not a loopback address is an error, unless
    /// `TELEMETRY_PAGE_REMOTE` is `true`. [`Telemetry::page_service`](crate::Telemetry::page_service) returns the page as a service
    /// for a router of the application.
    #[cfg(feature = "page")]
    pub fn page(mut self, address: impl Into<std::net::SocketAddr>) -> Self {
        self.settings.page = Some(address.into());
        self
    }

    /// Sets whether log records are sent to the collector. Log lines are written in any case. Default: `false`. `true` requires
    /// the feature `logs`.
    pub fn export_logs(mut self, sent: bool) -> Self {
        self.settings.logs = Some(if sent {
            LogsExporter::Otlp
        } else {
            LogsExporter::None
        });
        self
    }

    /// Sets the maximum number of ended spans that wait for export. Default: 2048.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.settings.queue_size = Some(spans);
        self
    }

    /// Sets the maximum number of spans per export. Default: 512.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.settings.batch_size = Some(spans);
        self
    }

    /// Sets the maximum time that a span waits for its batch to fill. Default: 5 seconds.
    pub fn schedule_delay(mut self, delay: Duration) -> Self {
        self.settings.schedule_delay = Some(delay);
        self
    }

    /// Sets the interval at which metrics are pushed or printed. Default: 60 seconds. Minimum: 1
    /// millisecond.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.settings.metric_interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Sets whether log lines are text for people. Default: `false`, one JSON object per line.
    pub fn pretty_logs(mut self, pretty: bool) -> Self {
        self.settings.log_format = Some(if pretty {
            LogFormat::Pretty
        } else {
            LogFormat::Json
        });
        self
    }

    /// Sets which log lines are written, in the syntax of
    /// [`EnvFilter`](tracing_subscriber::EnvFilter). It does not filter spans. Default: `info`.
    pub fn log_filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.log_filter = Some(directives.into());
        self
    }
}
