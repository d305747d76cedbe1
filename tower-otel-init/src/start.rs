//! Starts the providers of a configuration.

use std::sync::Arc;

use opentelemetry_sdk::Resource;
#[cfg(feature = "prometheus")]
use tower_otel_prometheus::Prometheus;

use crate::builder::TelemetryBuilder;
use crate::config::Config;
use crate::control::Control;
#[cfg(feature = "logs")]
use crate::drop_counter::DropCounter;
use crate::endpoint_health::EndpointHealth;
use crate::env::process_variable;
use crate::error::InitError;
use crate::export_runtime::ExportRuntime;
use crate::exporter_config::ExporterConfig;
use crate::exporter_state::ExporterState;
#[cfg(feature = "logs")]
use crate::log_limits::QUEUE_BYTES;
#[cfg(feature = "logs")]
use crate::log_pipeline::logger_provider;
use crate::metric_pipeline::meter_provider;
#[cfg(feature = "prometheus")]
use crate::metric_sender::MetricSender;
#[cfg(feature = "prometheus")]
use crate::metrics_printer::MetricsPrinter;
#[cfg(feature = "prometheus")]
use crate::metrics_pusher::{MetricsPush, MetricsPusher};
#[cfg(feature = "prometheus")]
use crate::options::ExemplarFilter;
use crate::options::Protocol;
use crate::otlp_config::OtlpConfig;
use crate::otlp_exporter;
#[cfg(feature = "page")]
use crate::page_start::{self, PreparedPage};
use crate::resource;
use crate::running_telemetry::RunningTelemetry;
use crate::sdk_metrics::{CountedSignal, SdkMetrics};
#[cfg(feature = "prometheus")]
use crate::settings::Settings;
use crate::span_recorder::{SpanRecorder, SpanTap};
use crate::summary::summary;

impl TelemetryBuilder {
    /// Starts the exporters. On an error, the exporters that were started are stopped.
    ///
    /// The recorder of the `metrics` facade is installed only if `global`, because a process can have only one.
    pub(crate) fn start(&self, global: bool) -> Result<(RunningTelemetry, Config), InitError> {
        let (config, warnings) = Config::resolve(&self.settings, &process_variable)?;
        let resource = resource::build(&config.resource_attributes);
        let mut telemetry =
            RunningTelemetry::idle(global, summary(&config, global), &config, warnings);
        if config.metrics.otlp.is_some() || config.logs.otlp().is_some() {
            let runtime = ExportRuntime::start().map_err(InitError::Thread)?;
            telemetry.export_runtime = Some(runtime);
        }
        #[cfg(feature = "page")]
        let page = page_start::prepare(&config)?;
        #[cfg(feature = "page")]
        telemetry.announce_page(page.as_ref());
        #[cfg(feature = "page")]
        let tap = page.as_ref().map(PreparedPage::tap);
        #[cfg(not(feature = "page"))]
        let tap = None;
        telemetry.start_traces(&config, &resource, tap)?;
        telemetry.start_logs(&config, &resource)?;
        telemetry.start_metrics(&config, &resource)?;
        #[cfg(feature = "prometheus")]
        if global && config.metrics.has_recorder() {
            telemetry.install_recorder(&self.settings, &config, &resource)?;
        }
        telemetry.publish_sdk_metrics();
        #[cfg(feature = "page")]
        if let Some(page) = page {
            telemetry.start_page(page)?;
        }
        Ok((telemetry, config))
    }
}

impl RunningTelemetry {
    fn start_traces(
        &mut self,
        config: &Config,
        resource: &Resource,
        tap: Option<SpanTap>,
    ) -> Result<(), InitError> {
        if config.sdk_disabled {
            return Ok(());
        }
        let resource = resource.clone();
        let (exporter, spans) = match &config.traces {
            ExporterConfig::Otlp(otlp) => (
                Some(otlp_name(otlp)),
                SpanRecorder::otlp(otlp, config, resource, tap)?,
            ),
            ExporterConfig::Console => (
                Some("console"),
                SpanRecorder::console(config, resource, tap)?,
            ),
            _ => (None, SpanRecorder::none(config, resource, tap)?),
        };
        let spans = Arc::new(spans);
        if let Some(exporter) = exporter {
            let counted = Arc::clone(&spans);
            let metrics = SdkMetrics::new(CountedSignal::Spans, exporter, move || counted.counts());
            self.sdk_metrics.push(Arc::new(metrics));
        }
        self.control = Control::new(Some(Arc::clone(&spans)), &self.summary, config);
        self.spans = Some(spans);
        Ok(())
    }

    /// Sets the values in the global recorder of the `metrics` facade. Local telemetry sets none.
    pub(crate) fn publish_sdk_metrics(&self) {
        if self.is_global {
            self.sdk_metrics
                .iter()
                .for_each(|metrics| metrics.publish());
            #[cfg(feature = "process")]
            self.process.publish();
        }
    }

    fn start_metrics(&mut self, config: &Config, resource: &Resource) -> Result<(), InitError> {
        if let (Some(otlp), Some(runtime)) = (&config.metrics.otlp, &self.export_runtime) {
            let exporter = otlp_exporter::metric_exporter(otlp, runtime)?;
            // The recorder is installed only for global telemetry. It then has the metrics about telemetry.
            let has_recorder = self.is_global && config.metrics.has_recorder();
            let items = match has_recorder {
                true => "metrics of meters",
                false => "metrics",
            };
            let health = Arc::new(EndpointHealth::new(items, otlp));
            let interval = config.metric_interval;
            let provider = meter_provider(exporter, &health, interval, resource.clone());
            self.control.add_exporter(ExporterState {
                health,
                counts: None,
            });
            if !has_recorder {
                for metrics in &self.sdk_metrics {
                    metrics.observe(&provider);
                }
                #[cfg(feature = "process")]
                self.process.observe(&provider);
            }
            self.meter_provider = Some(provider);
        }
        Ok(())
    }

    #[cfg(feature = "prometheus")]
    fn install_recorder(
        &mut self,
        settings: &Settings,
        config: &Config,
        resource: &Resource,
    ) -> Result<(), InitError> {
        // Built first, because an installed recorder cannot be removed after an error.
        let sender = match (&config.metrics.otlp, &self.export_runtime) {
            (Some(otlp), Some(runtime)) => Some((MetricSender::new(otlp, runtime)?, otlp, runtime)),
            _ => None,
        };
        let builder = settings.prometheus.clone();
        let builder = builder.unwrap_or_else(Prometheus::builder);
        let builder = match config.exemplars {
            // Without an exporter of spans, the trace of an exemplar cannot be found.
            ExemplarFilter::TraceBased if config.traces != ExporterConfig::None => {
                builder.exemplars()
            }
            _ => builder,
        };
        let prometheus = builder
            .install()
            .map_err(|error| InitError::Recorder(error.into()))?;
        let sdk_metrics = self.sdk_metrics.clone();
        #[cfg(feature = "process")]
        let process = self.process.clone();
        prometheus.before_render(move || {
            sdk_metrics.iter().for_each(|metrics| metrics.publish());
            #[cfg(feature = "process")]
            process.publish();
        });
        if config.metrics.console {
            let printer = MetricsPrinter::start(prometheus.clone(), config.metric_interval)
                .map_err(InitError::Thread)?;
            *self
                .metrics_printer
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(printer);
        }
        if let Some((sender, otlp, runtime)) = sender {
            let health = Arc::new(EndpointHealth::new("metrics", otlp));
            let push = MetricsPush {
                recorder: prometheus.clone(),
                sender,
                runtime: runtime.handle().clone(),
                resource: resource.into(),
                schema_url: resource.schema_url().unwrap_or_default().to_owned(),
                health: Arc::clone(&health),
                timeout: otlp.timeout,
            };
            let pusher = MetricsPusher::start(push, config.metric_interval);
            *self
                .metrics_pusher
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner()) =
                Some(pusher.map_err(InitError::Thread)?);
            self.control.add_exporter(ExporterState {
                health,
                counts: None,
            });
        }
        self.prometheus = Some(prometheus);
        Ok(())
    }

    #[cfg(feature = "logs")]
    fn start_logs(&mut self, config: &Config, resource: &Resource) -> Result<(), InitError> {
        if let (ExporterConfig::Otlp(otlp), Some(runtime)) = (&config.logs, &self.export_runtime) {
            let exporter = otlp_exporter::log_exporter(otlp, runtime)?;
            let health = Arc::new(EndpointHealth::new("log records", otlp));
            let batch = &config.log_batch;
            let drops = Arc::new(DropCounter::new(batch.queue_size, QUEUE_BYTES));
            let resource = resource.clone();
            let provider = logger_provider(exporter, &health, batch, runtime, &drops, resource);
            let counted = Arc::clone(&drops);
            self.control.add_exporter(ExporterState {
                health,
                counts: Some(Arc::new(move || counted.counts())),
            });
            let counted = Arc::clone(&drops);
            let metrics = SdkMetrics::new(CountedSignal::LogRecords, otlp_name(otlp), move || {
                counted.counts()
            });
            self.sdk_metrics.push(Arc::new(metrics));
            self.log_record_drops = Some(drops);
            self.logger_provider = Some(provider);
        }
        Ok(())
    }

    #[cfg(not(feature = "logs"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn start_logs(&mut self, _config: &Config, _resource: &Resource) -> Result<(), InitError> {
        Ok(())
    }
}

/// Returns the prefix of the type of an OTLP exporter.
fn otlp_name(otlp: &OtlpConfig) -> &'static str {
    match otlp.protocol {
        Protocol::Grpc => "otlp_grpc",
        Protocol::HttpProtobuf => "otlp_http",
    }
}
