//! From what was decided to what runs.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower_otel_semconv as semconv;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Config, Target};
use crate::console_span_processor::Console;
use crate::drop_counter::Tally;
use crate::export_runtime::Exports;
use crate::install::Layers;
#[cfg(feature = "logs")]
use crate::log_pipeline as records;
use crate::span_pipeline::Counted;
use crate::{
    Builder, InitError, Settings, Telemetry, env, metric_pipeline as metrics,
    otlp_exporter as collector, resource, span_pipeline as spans,
};

impl Builder {
    /// What fails here takes down with it what was started.
    #[cfg_attr(not(feature = "prometheus"), allow(unused_variables))]
    pub(crate) fn start(&self, global: bool) -> Result<(Telemetry, Config), InitError> {
        let (config, warnings) = Config::resolve(&self.settings, &env::process)?;
        let resource = resource::resource(&config.attributes);
        let mut telemetry = Telemetry::idle(warnings);
        let targets = [&config.traces, &config.metrics, &config.logs];
        if targets
            .iter()
            .any(|target| matches!(target, Target::Otlp(_)))
        {
            telemetry.exports = Some(Exports::start().map_err(InitError::Thread)?);
        }
        telemetry.start_traces(&config, &resource)?;
        telemetry.start_logs(&config, &resource)?;
        telemetry.start_metrics(&self.settings, &config, resource, global)?;
        Ok((telemetry, config))
    }
}

impl Telemetry {
    fn start_traces(&mut self, config: &Config, resource: &Resource) -> Result<(), InitError> {
        let provider = SdkTracerProvider::builder()
            .with_sampler(config.sampler.sdk())
            .with_resource(resource.clone());
        let provider = match (&config.traces, &self.exports) {
            (Target::Otlp(otlp), Some(exports)) => {
                let tally = Arc::new(Tally::new(spans::DROPPED, config.batch.queue_size));
                let exporter = collector::spans(otlp, exports)?;
                let spans = Counted::new(exporter, &otlp.endpoint, &config.batch, exports, &tally);
                self.tally = Some(tally);
                provider.with_span_processor(spans)
            }
            (Target::Console, _) => provider.with_span_processor(Console::stdout()),
            _ => return Ok(()),
        };
        self.traces = Some(provider.build());
        Ok(())
    }

    #[cfg_attr(not(feature = "prometheus"), allow(unused_variables))]
    fn start_metrics(
        &mut self,
        settings: &Settings,
        config: &Config,
        resource: Resource,
        global: bool,
    ) -> Result<(), InitError> {
        if let (Target::Otlp(otlp), Some(exports)) = (&config.metrics, &self.exports) {
            let exporter = collector::metrics(otlp, exports)?;
            let (to, interval) = (&otlp.endpoint, config.metric_interval);
            let tallies = [
                ("Spans that were recorded and did not arrive.", &self.tally),
                (
                    "Log records that were written and did not arrive.",
                    &self.log_tally,
                ),
            ];
            let pushed = metrics::push(exporter, to, interval, resource, tallies);
            self.meters = Some(pushed);
        }
        #[cfg(feature = "prometheus")]
        if global && matches!(config.metrics, Target::Prometheus | Target::Console) {
            let recorder = settings.recorder.clone().unwrap_or_default();
            let installed = recorder.install();
            let installed = installed.map_err(|error| InitError::Recorder(error.into()))?;
            if config.metrics == Target::Console {
                let interval = config.metric_interval;
                let printer = metrics::console::Printer::start(installed.clone(), interval);
                *self
                    .printer
                    .get_mut()
                    .unwrap_or_else(|poisoned| poisoned.into_inner()) =
                    Some(printer.map_err(InitError::Thread)?);
            }
            self.prometheus = Some(installed);
        }
        Ok(())
    }

    #[cfg(feature = "logs")]
    fn start_logs(&mut self, config: &Config, resource: &Resource) -> Result<(), InitError> {
        if let (Target::Otlp(otlp), Some(exports)) = (&config.logs, &self.exports) {
            let exporter = collector::logs(otlp, exports)?;
            let (to, batch) = (&otlp.endpoint, &config.log_batch);
            let tally = Arc::new(Tally::new(records::DROPPED, batch.queue_size));
            let resource = resource.clone();
            let provider = records::provider(exporter, to, batch, exports, &tally, resource);
            self.log_tally = Some(tally);
            self.logs = Some(provider);
        }
        Ok(())
    }

    #[cfg(not(feature = "logs"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn start_logs(&mut self, _config: &Config, _resource: &Resource) -> Result<(), InitError> {
        Ok(())
    }

    #[cfg_attr(not(feature = "logs"), allow(unused_variables))]
    pub(crate) fn layers<S>(&self, config: &Config) -> Layers<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let mut layers = Layers::new();
        if let Some(traces) = &self.traces {
            // Below INFO, the libraries under a server have spans of their own.
            let spans = tracing_opentelemetry::layer()
                .with_tracer(traces.tracer_with_scope(scope()))
                .with_location(false)
                .with_target(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(LevelFilter::INFO);
            layers.push(spans.boxed());
        }
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            layers.push(records::layer(logs, &config.log_filter));
        }
        layers
    }
}

/// The scope of the spans that come by `tracing`: those of `TraceLayer`, whose attributes are of
/// this version of the conventions, and the application's.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}
