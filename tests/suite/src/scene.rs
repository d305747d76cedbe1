//! Telemetry of one test, on one thread: spans in memory, metrics in a recorder of its own.

use std::{future::Future, sync::Arc, time::Duration};

use opentelemetry::{InstrumentationScope, Value, trace::TracerProvider};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, ShouldSample, SpanData,
};
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_prometheus::Prometheus;
use tower_otel_semconv as semconv;
use tower_otel_trace::Recorder;
use tracing::Metadata;
use tracing_subscriber::{
    Layer, Registry,
    filter::LevelFilter,
    layer::{Context as LayerContext, Filter, SubscriberExt},
};

use crate::backend::{Source, records_tracing};

/// What exports the spans of `tracing`.
pub type OtelLayer = tracing_opentelemetry::OpenTelemetryLayer<Registry, SdkTracer>;

/// The name of the application, for the spans that come by `tracing`.
pub const SCOPE: &str = "a test";

/// Everything recorded on this thread, which has to be the test's only one.
pub struct Scene {
    spans: InMemorySpanExporter,
    source: Source,
    installed: Installed,
}

/// A subscriber and a recorder that belong to this thread, as long as this is held.
pub struct Installed {
    metrics: Metrics,
    _recorder: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Installed {
    pub fn new(source: &Source) -> Self {
        // The libraries below have spans of their own at lower levels.
        Self::with(source, |layer| layer, LevelFilter::INFO)
    }

    fn with(
        source: &Source,
        change: impl FnOnce(OtelLayer) -> OtelLayer,
        filter: impl Filter<Registry> + Send + Sync + 'static,
    ) -> Self {
        let tracer = source.provider.tracer_with_scope(scope());
        let layer = change(tracing_opentelemetry::layer().with_tracer(tracer));
        let filter = Arc::new(filter);
        let subscriber = tracing_subscriber::registry().with(Layer::and_then(
            layer.with_filter(Routed::new(false, filter.clone())),
            source
                .recorder
                .layer()
                .scope(scope())
                .with_filter(Routed::new(true, filter)),
        ));
        let (recorder, metrics) = Prometheus::builder().build().unwrap();
        Self {
            metrics: Metrics(metrics),
            _recorder: metrics::set_default_local_recorder(Box::leak(Box::new(recorder))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// A filter for the exporter of `tracing` spans that the thread uses.
struct Routed {
    to_recorder: bool,
    filter: Arc<dyn Filter<Registry> + Send + Sync>,
}

impl Routed {
    fn new(to_recorder: bool, filter: Arc<dyn Filter<Registry> + Send + Sync>) -> Self {
        Self {
            to_recorder,
            filter,
        }
    }
}

impl Filter<Registry> for Routed {
    fn enabled(&self, metadata: &Metadata<'_>, context: &LayerContext<'_, Registry>) -> bool {
        records_tracing() == self.to_recorder && self.filter.enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter.max_level_hint()
    }
}

/// The scope of spans that come by `tracing`, as the documentation of the layer makes it.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}

/// What a recorder has recorded. Another thread may read it.
#[derive(Clone)]
pub struct Metrics(Prometheus);

impl Metrics {
    /// The metrics as a scrape sees them.
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// The sum of a metric over the series that have all of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.text(), metric, labels)
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    pub fn new() -> Self {
        Self::with(Sampler::AlwaysOn, LevelFilter::INFO)
    }

    /// A scene of which only a part is seen: what a sampler drops or a filter of `tracing` hides.
    pub fn with(
        sampler: impl Into<Box<dyn ShouldSample>>,
        filter: impl Filter<Registry> + Send + Sync + 'static,
    ) -> Self {
        Self::made(sampler, |layer| layer, filter)
    }

    /// A scene with another tracing-opentelemetry than that of the documentation.
    pub fn changed(change: impl FnOnce(OtelLayer) -> OtelLayer) -> Self {
        Self::made(Sampler::AlwaysOn, change, LevelFilter::INFO)
    }

    fn made(
        sampler: impl Into<Box<dyn ShouldSample>>,
        change: impl FnOnce(OtelLayer) -> OtelLayer,
        filter: impl Filter<Registry> + Send + Sync + 'static,
    ) -> Self {
        let sampler = sampler.into();
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .with_sampler(sampler.clone())
            .build();
        let recorder = Recorder::builder(spans.clone())
            .sampler(sampler)
            .queue_size(256)
            .build();
        let source = Source {
            provider,
            recorder: Arc::new(recorder.unwrap()),
        };
        Self {
            spans,
            installed: Installed::with(&source, change, filter),
            source,
        }
    }

    /// Where direct spans come from.
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.source.provider
    }

    /// Where direct spans and records come from.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// AnyTraceLayer that have ended, in the order of their ends.
    pub fn spans(&self) -> Vec<SpanData> {
        let flushed = self.source.recorder.flush(Duration::from_secs(20));
        flushed.unwrap();
        self.spans.get_finished_spans().unwrap()
    }

    /// The metrics as a scrape sees them.
    pub fn metrics(&self) -> String {
        self.installed.metrics.text()
    }

    /// All series, sorted, of histograms the count alone.
    pub fn series(&self) -> Vec<String> {
        let mut series: Vec<String> = self
            .metrics()
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .filter(|line| !line.contains("_bucket{") && !line.contains("_seconds_sum{"))
            .map(str::to_owned)
            .collect();
        series.sort();
        series
    }

    /// The sum of a metric over the series that have all of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.installed.metrics.sum(metric, labels)
    }

    /// Waits until something is true, letting the other tasks of the thread go on.
    pub async fn until(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !is(self) {
                tokio::task::yield_now().await;
            }
        };
        within(what, waiting).await;
    }
}

/// The sum of a metric in the text format over the series that have all of these labels.
pub fn sum(text: &str, metric: &str, labels: &[(&str, &str)]) -> f64 {
    series(text, metric)
        .filter(|(has, _)| {
            labels
                .iter()
                .all(|(key, value)| has.contains(&format!("{key}=\"{value}\"")))
        })
        .map(|(_, value)| value)
        .sum()
}

/// Lines of a metric in the text format, as labels and value.
fn series<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        if !labels.is_empty() && !labels.starts_with('{') {
            return None;
        }
        Some((labels, value.parse().ok()?))
    })
}

/// A layer that counts by the conventions, beside one that does not.
pub fn by_the_conventions(metrics: MetricsLayer) -> MetricsLayer {
    metrics
        .names(Names::Conventions)
        .rename(|name| format!("by_the_conventions_{name}"))
}

/// What [`by_the_conventions`] has counted says of its one exchange the error that its span says.
pub fn counted_as(scene: &Scene, kind: &str, error: Option<&str>) {
    let counted = format!("by_the_conventions_http_{kind}_request_duration_seconds_count");
    let metrics = scene.metrics();
    assert_eq!(scene.sum(&counted, &[]), 1.0, "{metrics}");
    match error {
        Some(error) => {
            let labels = [("error_type", error)];
            assert_eq!(scene.sum(&counted, &labels), 1.0, "{metrics}");
        }
        None => assert!(!metrics.contains("error_type"), "{metrics}"),
    }
}

/// Something that has to happen, and soon.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: it did not happen"),
    }
}

/// An attribute of a span as text, or as it would be written as a number.
pub fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.clone())
}

/// An attribute that has to be a string.
pub fn text(span: &SpanData, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::String(value) => Some(value.to_string()),
        other => panic!("{key} is no string: {other:?}"),
    }
}

/// An attribute that has to be an integer.
pub fn integer(span: &SpanData, key: &str) -> Option<i64> {
    match attribute(span, key)? {
        Value::I64(value) => Some(value),
        other => panic!("{key} is no integer: {other:?}"),
    }
}
