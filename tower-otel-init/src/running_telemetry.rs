//! The running providers and exporters, and their counts.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry_sdk::metrics::SdkMeterProvider;
#[cfg(feature = "prometheus")]
use tower_otel_prometheus::Prometheus;

use crate::config::Config;
use crate::config_warning::ConfigWarning;
use crate::control::Control;
#[cfg(feature = "logs")]
use crate::drop_counter::DropCounter;
use crate::drop_counts::DropCounts;
use crate::export_runtime::ExportRuntime;
#[cfg(feature = "prometheus")]
use crate::metrics_printer::MetricsPrinter;
#[cfg(feature = "prometheus")]
use crate::metrics_pusher::MetricsPusher;
#[cfg(feature = "page")]
use crate::page::{routes::Routes, server::PageServer};
#[cfg(feature = "process")]
use crate::process_metrics::ProcessMetrics;
use crate::sdk_metrics::SdkMetrics;
use crate::shutdown_progress::ShutdownProgress;
use crate::span_recorder::SpanRecorder;

/// The providers and exporters that were started. Dropping it shuts them down.
pub(crate) struct RunningTelemetry {
    /// The id of the process that started the threads.
    pub(crate) process_id: u32,
    /// Whether it is the global telemetry of the process.
    pub(crate) is_global: bool,
    /// The time at which the application received it. `None` for local telemetry.
    pub(crate) handed_over: Option<Instant>,
    /// `None` if `OTEL_SDK_DISABLED` is set.
    pub(crate) spans: Option<Arc<SpanRecorder>>,
    pub(crate) meter_provider: Option<SdkMeterProvider>,
    #[cfg(feature = "logs")]
    pub(crate) logger_provider: Option<opentelemetry_sdk::logs::SdkLoggerProvider>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<Prometheus>,
    #[cfg(feature = "prometheus")]
    pub(crate) metrics_printer: std::sync::Mutex<Option<MetricsPrinter>>,
    #[cfg(feature = "prometheus")]
    pub(crate) metrics_pusher: std::sync::Mutex<Option<MetricsPusher>>,
    #[cfg(feature = "page")]
    pub(crate) page_address: Option<std::net::SocketAddr>,
    #[cfg(feature = "page")]
    pub(crate) page_routes: Option<Arc<Routes>>,
    #[cfg(feature = "page")]
    pub(crate) page_server: std::sync::Mutex<Option<PageServer>>,
    pub(crate) export_runtime: Option<ExportRuntime>,
    #[cfg(feature = "logs")]
    pub(crate) log_record_drops: Option<Arc<DropCounter>>,
    pub(crate) warnings: Vec<ConfigWarning>,
    pub(crate) summary: String,
    pub(crate) control: Control,
    #[cfg(feature = "process")]
    pub(crate) process: ProcessMetrics,
    pub(crate) sdk_metrics: Vec<Arc<SdkMetrics>>,
    pub(crate) shutdown: Arc<ShutdownProgress>,
}

impl RunningTelemetry {
    /// Returns telemetry without any running part.
    pub(crate) fn idle(
        is_global: bool,
        summary: String,
        config: &Config,
        warnings: Vec<ConfigWarning>,
    ) -> Self {
        Self {
            process_id: std::process::id(),
            is_global,
            handed_over: None,
            spans: None,
            meter_provider: None,
            #[cfg(feature = "logs")]
            logger_provider: None,
            #[cfg(feature = "prometheus")]
            prometheus: None,
            #[cfg(feature = "prometheus")]
            metrics_printer: std::sync::Mutex::default(),
            #[cfg(feature = "prometheus")]
            metrics_pusher: std::sync::Mutex::default(),
            #[cfg(feature = "page")]
            page_address: None,
            #[cfg(feature = "page")]
            page_routes: None,
            #[cfg(feature = "page")]
            page_server: std::sync::Mutex::default(),
            export_runtime: None,
            #[cfg(feature = "logs")]
            log_record_drops: None,
            warnings,
            control: Control::new(None, &summary, config),
            summary,
            #[cfg(feature = "process")]
            process: ProcessMetrics::new(),
            sdk_metrics: Vec::new(),
            shutdown: Arc::default(),
        }
    }

    /// Returns the numbers of spans dropped since the start.
    pub(crate) fn dropped_spans(&self) -> DropCounts {
        let spans = self.spans.as_ref();
        spans
            .map(|spans| spans.counts().dropped)
            .unwrap_or_default()
    }

    /// Returns the numbers of log records dropped since the start.
    pub(crate) fn dropped_log_records(&self) -> DropCounts {
        #[cfg(feature = "logs")]
        if let Some(drops) = &self.log_record_drops {
            return drops.counts().dropped;
        }
        DropCounts::default()
    }
}

impl fmt::Debug for RunningTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningTelemetry")
            .field("dropped_spans", &self.dropped_spans())
            .field("dropped_log_records", &self.dropped_log_records())
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}
