//! The `tracing` layers of running telemetry.

use opentelemetry::InstrumentationScope;
use tower_otel_recorder::RecorderLayer;
use tower_otel_semconv as semconv;
use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Identity;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

#[cfg(feature = "logs")]
use crate::filtered_logs::FilteredRecords;
use crate::filtered_logs::UsedCallsites;
use crate::log_lines;
#[cfg(feature = "logs")]
use crate::log_pipeline::LogRecords;
use crate::options::LogFormat;
use crate::running_telemetry::RunningTelemetry;

/// Layers for a `tracing` subscriber: one that records spans, unless `OTEL_SDK_DISABLED` is set, and one that exports log
/// records, if the logs exporter is OTLP.
pub type Layers<S> = Vec<Box<dyn Layer<S> + Send + Sync>>;

/// The least severe level of recorded spans and events. The libraries that a server is built on have spans below it.
const SPAN_LEVEL: LevelFilter = LevelFilter::INFO;

impl RunningTelemetry {
    /// Returns the layers for a subscriber of the application, with filters that do not apply to its other layers.
    pub(crate) fn layers<S>(&self) -> Layers<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let mut layers = Layers::new();
        if let Some(layer) = self.recorder_layer() {
            layers.push(layer.with_filter(SPAN_LEVEL).boxed());
        }
        #[cfg(feature = "logs")]
        if let Some(records) = self.record_layer() {
            let filter = self.control.layer_filter();
            layers.push(records.with_filter(filter).boxed());
        }
        layers
    }

    /// Returns all layers of the installed subscriber. They filter by themselves, which costs less than layers with filters.
    pub(crate) fn installed_layers(&self, log_format: LogFormat) -> impl Layer<Registry> {
        let spans = self.recorder_layer();
        let spans = spans.map(|layer| layer.spans(SPAN_LEVEL).alone());
        let filter = self.control.layer_filter();
        let mut used = UsedCallsites {
            spans: spans.as_ref().map_or(LevelFilter::OFF, |_| SPAN_LEVEL),
            logs: vec![filter.clone()],
        };
        let lines = log_lines::layer(log_format, filter, std::io::stdout);
        let records = self.log_records(&mut used);
        Identity::new()
            .and_then(spans)
            .and_then(records)
            .and_then(lines)
            .and_then(used)
    }

    fn recorder_layer(&self) -> Option<RecorderLayer> {
        let spans = self.spans.as_ref()?;
        let layer = spans.recorder.layer().scope(scope());
        Some(layer.location(false).target(false))
    }

    /// Returns the layer that turns events into log records, if they are exported.
    #[cfg(feature = "logs")]
    fn log_records(&self, used: &mut UsedCallsites) -> Option<impl Layer<Registry> + use<>> {
        let records = self.record_layer()?;
        let filter = self.control.layer_filter();
        used.logs.push(filter.clone());
        Some(FilteredRecords { filter, records })
    }

    #[cfg(feature = "logs")]
    fn record_layer(&self) -> Option<LogRecords> {
        let drops = self.log_record_drops.as_ref()?;
        Some(LogRecords::new(self.logger_provider.as_ref()?, drops))
    }

    #[cfg(not(feature = "logs"))]
    #[allow(clippy::unused_self)]
    fn log_records(&self, _used: &mut UsedCallsites) -> Option<Identity> {
        None
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
