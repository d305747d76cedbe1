//! Starts the providers of a configuration.

use std::sync::Arc;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
#[cfg(feature = "prometheus")]
use tower_otel_prometheus::Prometheus;

use crate::builder::TelemetryBuilder;
use crate::config::Config;
use crate::console_span_processor::ConsoleSpanProcessor;
use crate::drop_counter::DropCounter;
use crate::env::process_variable;
use crate::error::InitError;
use crate::export_runtime::ExportRuntime;
use crate::exporter_config::ExporterConfig;
#[cfg(feature = "logs")]
use crate::log_pipeline::{DROPPED_LOG_RECORDS, logger_provider};
use crate::metric_pipeline::meter_provider;
#[cfg(feature = "prometheus")]
use crate::metrics_printer::MetricsPrinter;
use crate::otlp_exporter;
use crate::resource;
#[cfg(feature = "prometheus")]
use crate::settings::Settings;
use crate::span_pipeline::{CountingSpanProcessor, DROPPED_SPANS};
use crate::telemetry::Telemetry;

impl TelemetryBuilder {
    /// Starts the exporters. On an error, those that were started are stopped.
    ///
    /// A recorder of the `metrics` facade exists once per process: it is installed only if `global`.
    #[cfg_attr(not(feature = "prometheus"), allow(unused_variables))]
    pub(crate) fn start(&self, global: bool) -> Result<(Telemetry, Config), InitError> {
        let (config, warnings) = Config::resolve(&self.settings, &process_variable)?;
        let resource = resource::build(&config.resource_attributes);
        let mut telemetry = Telemetry::idle(warnings);
        let exporters = [&config.traces, &config.metrics, &config.logs];
        if exporters
            .iter()
            .any(|exporter| matches!(exporter, ExporterConfig::Otlp(_)))
        {
            let runtime = ExportRuntime::start().map_err(InitError::Thread)?;
            telemetry.export_runtime = Some(runtime);
        }
        telemetry.start_traces(&config, &resource)?;
        telemetry.start_logs(&config, &resource)?;
        telemetry.start_metrics(&config, resource)?;
        #[cfg(feature = "prometheus")]
        if global {
            telemetry.install_recorder(&self.settings, &config)?;
        }
        Ok((telemetry, config))
    }
}

impl Telemetry {
    fn start_traces(&mut self, config: &Config, resource: &Resource) -> Result<(), InitError> {
        let provider = SdkTracerProvider::builder()
            .with_sampler(config.sampler.to_sdk())
            .with_resource(resource.clone());
        let provider = match (&config.traces, &self.export_runtime) {
            (ExporterConfig::Otlp(otlp), Some(runtime)) => {
                let batch = &config.span_batch;
                let drops = Arc::new(DropCounter::new(DROPPED_SPANS, batch.queue_size));
                let exporter = otlp_exporter::span_exporter(otlp, runtime)?;
                let endpoint = &otlp.endpoint;
                let processor =
                    CountingSpanProcessor::new(exporter, endpoint, batch, runtime, &drops);
                self.span_drops = Some(drops);
                provider.with_span_processor(processor)
            }
            (ExporterConfig::Console, _) => {
                provider.with_span_processor(ConsoleSpanProcessor::stdout())
            }
            _ => return Ok(()),
        };
        self.tracer_provider = Some(provider.build());
        Ok(())
    }

    fn start_metrics(&mut self, config: &Config, resource: Resource) -> Result<(), InitError> {
        if let (ExporterConfig::Otlp(otlp), Some(runtime)) = (&config.metrics, &self.export_runtime)
        {
            let exporter = otlp_exporter::metric_exporter(otlp, runtime)?;
            let (endpoint, interval) = (&otlp.endpoint, config.metric_interval);
            let drops = [
                (
                    "Spans that were recorded and not delivered.",
                    &self.span_drops,
                ),
                (
                    "Log records that were written and not delivered.",
                    &self.log_record_drops,
                ),
            ];
            let provider = meter_provider(exporter, endpoint, interval, resource, drops);
            self.meter_provider = Some(provider);
        }
        Ok(())
    }

    #[cfg(feature = "prometheus")]
    fn install_recorder(&mut self, settings: &Settings, config: &Config) -> Result<(), InitError> {
        if !matches!(
            config.metrics,
            ExporterConfig::Prometheus | ExporterConfig::Console
        ) {
            return Ok(());
        }
        let builder = settings.prometheus.clone();
        let prometheus = builder
            .unwrap_or_else(Prometheus::builder)
            .install()
            .map_err(|error| InitError::Recorder(error.into()))?;
        if config.metrics == ExporterConfig::Console {
            let printer = MetricsPrinter::start(prometheus.clone(), config.metric_interval)
                .map_err(InitError::Thread)?;
            *self
                .metrics_printer
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(printer);
        }
        self.prometheus = Some(prometheus);
        Ok(())
    }

    #[cfg(feature = "logs")]
    fn start_logs(&mut self, config: &Config, resource: &Resource) -> Result<(), InitError> {
        if let (ExporterConfig::Otlp(otlp), Some(runtime)) = (&config.logs, &self.export_runtime) {
            let exporter = otlp_exporter::log_exporter(otlp, runtime)?;
            let (endpoint, batch) = (&otlp.endpoint, &config.log_batch);
            let drops = Arc::new(DropCounter::new(DROPPED_LOG_RECORDS, batch.queue_size));
            let resource = resource.clone();
            let provider = logger_provider(exporter, endpoint, batch, runtime, &drops, resource);
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
