//! The handle of running telemetry.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
#[cfg(feature = "prometheus")]
use tower_otel_prometheus::Prometheus;

use crate::config_warning::ConfigWarning;
use crate::drop_counter::DropCounter;
use crate::drop_counts::DropCounts;
use crate::export_runtime::ExportRuntime;
#[cfg(feature = "prometheus")]
use crate::metrics_printer::MetricsPrinter;

/// Running telemetry. Keep it until the end of `main`.
///
/// Dropping it is [`shutdown`](Self::shutdown) with a timeout of five seconds.
#[must_use = "telemetry stops when this is dropped"]
pub struct Telemetry {
    pub(crate) tracer_provider: Option<SdkTracerProvider>,
    pub(crate) meter_provider: Option<SdkMeterProvider>,
    #[cfg(feature = "logs")]
    pub(crate) logger_provider: Option<opentelemetry_sdk::logs::SdkLoggerProvider>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<Prometheus>,
    #[cfg(feature = "prometheus")]
    pub(crate) metrics_printer: std::sync::Mutex<Option<MetricsPrinter>>,
    pub(crate) export_runtime: Option<ExportRuntime>,
    pub(crate) span_drops: Option<Arc<DropCounter>>,
    pub(crate) log_record_drops: Option<Arc<DropCounter>>,
    pub(crate) warnings: Vec<ConfigWarning>,
    pub(crate) shut_down: AtomicBool,
}

impl Telemetry {
    /// Returns telemetry of which nothing is running yet.
    pub(crate) fn idle(warnings: Vec<ConfigWarning>) -> Self {
        Self {
            tracer_provider: None,
            meter_provider: None,
            #[cfg(feature = "logs")]
            logger_provider: None,
            #[cfg(feature = "prometheus")]
            prometheus: None,
            #[cfg(feature = "prometheus")]
            metrics_printer: std::sync::Mutex::default(),
            export_runtime: None,
            span_drops: None,
            log_record_drops: None,
            warnings,
            shut_down: AtomicBool::new(false),
        }
    }

    /// Returns the Prometheus recorder of the `metrics` facade, which provides the `/metrics` service.
    ///
    /// Returns `None` if metrics have another exporter than `prometheus` or `console`, and with
    /// [`TelemetryBuilder::local`](crate::TelemetryBuilder::local).
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn prometheus(&self) -> Option<&Prometheus> {
        self.prometheus.as_ref()
    }

    /// Returns the tracer provider, for `TraceLayer::server().tracer_provider(..)` and other
    /// libraries. Returns `None` if spans are not recorded.
    #[must_use]
    pub fn tracer_provider(&self) -> Option<&SdkTracerProvider> {
        self.tracer_provider.as_ref()
    }

    /// Returns the meter provider, for `MetricsLayer::server().meter_provider(..)` and other
    /// libraries. Returns `None` unless metrics are pushed by OTLP.
    #[must_use]
    pub fn meter_provider(&self) -> Option<&SdkMeterProvider> {
        self.meter_provider.as_ref()
    }

    /// Returns the number of spans dropped so far.
    #[must_use]
    pub fn dropped_spans(&self) -> DropCounts {
        counts(self.span_drops.as_ref())
    }

    /// Returns the number of log records for a collector dropped so far.
    #[must_use]
    pub fn dropped_log_records(&self) -> DropCounts {
        counts(self.log_record_drops.as_ref())
    }

    /// Returns a warning for each variable with an invalid value.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().map(ConfigWarning::to_string)
    }
}

fn counts(drops: Option<&Arc<DropCounter>>) -> DropCounts {
    drops.map(|drops| drops.counts()).unwrap_or_default()
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("dropped_spans", &self.dropped_spans())
            .field("dropped_log_records", &self.dropped_log_records())
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}
