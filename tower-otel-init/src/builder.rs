//! The builder that configures and starts telemetry.

use std::time::Duration;

use crate::options::{LogFormat, LogsExporter, MetricsExporter, Protocol, TracesExporter};
use crate::sampler::Sampler;
use crate::settings::Settings;

/// Configures telemetry in code. [`Telemetry::builder`](crate::Telemetry::builder) returns it.
///
/// A setting in code takes precedence over its variables. `*` stands for `TRACES`, `METRICS` or `LOGS`.
///
/// | method | variables | default |
/// |---|---|---|
/// | [`resource_attribute`](Self::resource_attribute) | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the service name of `Telemetry::builder`, attributes of the host and the process |
/// | [`endpoint`](Self::endpoint) | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_*_ENDPOINT` | `http://localhost:4317`, over HTTP `http://localhost:4318` |
/// | [`protocol`](Self::protocol) | `OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_*_PROTOCOL` | gRPC; HTTP without the feature `grpc` |
/// | [`header`](Self::header) | `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_*_HEADERS` | none |
/// | [`export_timeout`](Self::export_timeout) | `OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_EXPORTER_OTLP_*_TIMEOUT` | 10 seconds |
/// | [`sampler`](Self::sampler) | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | a tenth of the traces, parent-based; all traces with the console exporter or the page |
/// | [`traces`](Self::traces) | `OTEL_TRACES_EXPORTER` | OTLP; none with the page, if no endpoint is set |
/// | [`metrics`](Self::metrics) | `OTEL_METRICS_EXPORTER`, `METRICS_ENABLED` | Prometheus; none without the feature `prometheus` |
/// | [`export_logs`](Self::export_logs) | `OTEL_LOGS_EXPORTER` | none |
/// | [`queue_size`](Self::queue_size) | `OTEL_BSP_MAX_QUEUE_SIZE` | 2048 spans |
/// | [`batch_size`](Self::batch_size) | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | 512 spans |
/// | [`schedule_delay`](Self::schedule_delay) | `OTEL_BSP_SCHEDULE_DELAY` | 5 seconds |
/// | [`metric_interval`](Self::metric_interval) | `OTEL_METRIC_EXPORT_INTERVAL` | 60 seconds |
/// | [`pretty_logs`](Self::pretty_logs) | `LOG_FORMAT` | JSON |
/// | [`log_filter`](Self::log_filter) | `RUST_LOG`, `LOG_LEVEL` | `info` |
/// | `page` | `TELEMETRY_PAGE` | no page |
///
/// `install`, `layers` and `local` return [`InitError::InvalidSetting`](crate::InitError::InvalidSetting) for an invalid value in
/// code, or [`InitError::Exporter`](crate::InitError::Exporter) if an exporter refuses the value. See the specification of the
/// [variables](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) and of the
/// [exporter](https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
///
/// ```
/// use tower_otel_init::{Sampler, Telemetry};
///
/// let builder = Telemetry::builder("users")
///     .endpoint("https://collector.example.com:4317")
///     .header("authorization", "Bearer token")
///     .sampler(Sampler::ratio(0.2).parent_based());
/// # drop(builder);
/// ```
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

    /// Sets an attribute of the resource. It replaces the same attribute of a variable, and an earlier value. `service.name`
    /// also replaces the name of [`Telemetry::builder`](crate::Telemetry::builder).
    ///
    /// <https://opentelemetry.io/docs/specs/semconv/resource/>
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
    /// `/v1/logs` is appended. Default: `http://localhost:4317`, over HTTP `http://localhost:4318`. An `https` URL needs the
    /// feature `tls`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Sets the OTLP protocol for all signals. Default: [`Protocol::Grpc`], or [`Protocol::HttpProtobuf`] without the feature
    /// `grpc`.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.protocol = Some(protocol);
        self
    }

    /// Adds a header to every request to the collector, for example for authentication. Default: none. It replaces a header of
    /// the variables with the same name. It is never logged.
    ///
    /// The name is a token that does not end with `-bin`, and the value is printable ASCII. Another header is an error.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the timeout of an export, including its retries. Default: 10 seconds. If `OTEL_BSP_EXPORT_TIMEOUT` for spans, or
    /// `OTEL_BLRP_EXPORT_TIMEOUT` for log records, is shorter (default: 30 seconds), the shorter one applies. Zero is an error
    /// if spans are exported by OTLP.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.settings.export_timeout = Some(timeout);
        self
    }

    /// Sets the sampler. Default: `Sampler::ratio(0.1).parent_based()`, or `Sampler::ratio(1.0)` with the console exporter or
    /// the page.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.settings.sampler = Some(sampler);
        self
    }

    /// Sets the exporter of spans. Default: [`TracesExporter::Otlp`], or [`TracesExporter::None`] with the page if no endpoint
    /// is set.
    pub fn traces(mut self, exporter: TracesExporter) -> Self {
        self.settings.traces = Some(exporter);
        self
    }

    /// Adds an exporter of metrics. Default: [`MetricsExporter::Prometheus`], or none without the
    /// feature `prometheus`. [`MetricsExporter::None`] removes the exporters added before.
    ///
    /// With OTLP and Prometheus, the metrics of `/metrics` are
    /// [also pushed to the collector](crate#metrics-to-a-collector-and-metrics-at-once):
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

    /// Adds the exporter [`MetricsExporter::Prometheus`], and sets the configuration of its recorder. Exemplars are enabled if
    /// spans have an exporter, unless `OTEL_METRICS_EXEMPLAR_FILTER` is `always_off`.
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
    /// of the exporters. The page can also change the settings of [`Control`](crate::Control). Default: no page. Port 0 selects a
    /// free port; [`Telemetry::page`](crate::Telemetry::page) returns it.
    ///
    /// ```
    /// use tower_otel_init::Telemetry;
    ///
    /// let builder = Telemetry::builder("users").page(([127, 0, 0, 1], 4319));
    /// # drop(builder);
    /// ```
    ///
    /// With the page, all traces are sampled unless the sampler is set, and spans are exported within a second of their end.
    /// They are sent to a collector only if an endpoint or the exporter of spans is set.
    ///
    /// Every client that reaches the address can read the traces. An address that is not a loopback address is an error, unless
    /// `TELEMETRY_PAGE_REMOTE` is `true`. [`Telemetry::page_service`](crate::Telemetry::page_service) returns the page as a
    /// service for a router of the application.
    #[cfg(feature = "page")]
    pub fn page(mut self, address: impl Into<std::net::SocketAddr>) -> Self {
        self.settings.page = Some(address.into());
        self
    }

    /// Sets whether log records are exported to the collector, over OTLP. Default: `false`. `true` requires the feature `logs`. Log
    /// lines are written to the standard output in both cases.
    pub fn export_logs(mut self, sent: bool) -> Self {
        self.settings.logs = Some(if sent {
            LogsExporter::Otlp
        } else {
            LogsExporter::None
        });
        self
    }

    /// Sets the maximum number of ended spans that wait for export. Default: 2048. Further spans are dropped and counted. 0 is
    /// an error. The spans use at most 16 MiB, or 4 KiB times this number if that is more.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.settings.queue_size = Some(spans);
        self
    }

    /// Sets the maximum number of spans per export. Default: 512. A number above [`queue_size`](Self::queue_size) has the effect
    /// of `queue_size`. 0 is an error.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.settings.batch_size = Some(spans);
        self
    }

    /// Sets the maximum time that an ended span waits for its batch to fill. Default: 5 seconds. A shorter time than 1 millisecond
    /// has the effect of 1 millisecond.
    pub fn schedule_delay(mut self, delay: Duration) -> Self {
        self.settings.schedule_delay = Some(delay);
        self
    }

    /// Sets the interval at which metrics are pushed or printed on the console. Default: 60 seconds. A shorter interval than 1
    /// millisecond has the effect of 1 millisecond.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.settings.metric_interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Sets whether log lines are text to read on a terminal. Default: `false`, one JSON object per line.
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
    ///
    /// To omit the lines of the OpenTelemetry SDK, which logs each failed export, add `opentelemetry=off`. It is added
    /// automatically to `RUST_LOG` and `LOG_LEVEL`.
    ///
    /// ```
    /// use tower_otel_init::Telemetry;
    ///
    /// let builder = Telemetry::builder("users").log_filter("info,users=debug,opentelemetry=off");
    /// # drop(builder);
    /// ```
    pub fn log_filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.log_filter = Some(directives.into());
        self
    }
}
