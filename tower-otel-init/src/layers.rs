//! The `tracing` layers of running telemetry.

use opentelemetry::InstrumentationScope;
use tower_otel_semconv as semconv;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::registry::LookupSpan;

#[cfg(feature = "logs")]
use crate::log_pipeline;
use crate::running_telemetry::RunningTelemetry;

/// Layers for a `tracing` subscriber: one that records spans, unless `OTEL_SDK_DISABLED` is set, and one that exports log
/// records, if the logs exporter is OTLP.
pub type Layers<S> = Vec<Box<dyn Layer<S> + Send + Sync>>;

impl RunningTelemetry {
    pub(crate) fn layers<S>(&self) -> Layers<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let mut layers = Layers::new();
        if let Some(spans) = &self.spans {
            // Omits the spans of libraries such as hyper, which are below INFO.
            let recorder = &spans.recorder;
            let layer = recorder.layer().scope(scope());
            let layer = layer.location(false).target(false);
            layers.push(layer.with_filter(LevelFilter::INFO).boxed());
        }
        #[cfg(feature = "logs")]
        if let Some(provider) = &self.logger_provider {
            layers.push(log_pipeline::layer(provider, self.control.layer_filter()));
        }
        layers
    }
}

/// Returns the instrumentation scope of `tracing` spans: the spans of `TraceLayer`, whose attributes have this schema version,
/// and the spans of the application.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}
