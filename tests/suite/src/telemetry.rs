//! In-memory telemetry of one test on one thread.

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

use crate::backend::{Source, leave_subscriber_of_record, records_tracing};

/// The `tracing` layer that exports spans.
pub type OtelLayer = tracing_opentelemetry::OpenTelemetryLayer<Registry, SdkTracer>;

/// The scope name of exported `tracing` spans.
pub const SCOPE: &str = "a test";

/// The spans and metrics of the current thread. A test must record on this thread only.
pub struct TestTelemetry {
    spans: InMemorySpanExporter,
    source: Source,
    installed: LocalTelemetry,
}

/// A subscriber and a metrics recorder, installed on the current thread until it is dropped.
pub struct LocalTelemetry {
    metrics: Metrics,
    _recorder: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Drop for LocalTelemetry {
    fn drop(&mut self) {
        leave_subscriber_of_record();
    }
}

impl LocalTelemetry {
    pub fn new(source: &Source) -> Self {
        // Spans of dependencies have lower levels.
        Self::install(source, |layer| layer, LevelFilter::INFO)
    }

    fn install(
        source: &Source,
        configure: impl FnOnce(OtelLayer) -> OtelLayer,
        filter: impl Filter<Registry> + Send + Sync + 'static,
    ) -> Self {
        let tracer = source.provider.tracer_with_scope(scope());
        let exporter = configure(tracing_opentelemetry::layer().with_tracer(tracer));
        let recorder = source.recorder.layer().scope(scope());
        let filter = Arc::new(filter);
        let subscriber = tracing_subscriber::registry().with(Layer::and_then(
            exporter.with_filter(BackendFilter::new(false, filter.clone())),
            recorder.with_filter(BackendFilter::new(true, filter)),
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

/// A filter for one of the two layers that export `tracing` spans.
struct BackendFilter {
    is_recorder: bool,
    filter: Arc<dyn Filter<Registry> + Send + Sync>,
}

impl BackendFilter {
    fn new(is_recorder: bool, filter: Arc<dyn Filter<Registry> + Send + Sync>) -> Self {
        Self {
            is_recorder,
            filter,
        }
    }
}

impl Filter<Registry> for BackendFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &LayerContext<'_, Registry>) -> bool {
        records_tracing() == self.is_recorder && self.filter.enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter.max_level_hint()
    }
}

/// The scope of exported `tracing` spans, as in the documentation of the layer.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}

/// The recorded metrics. Other threads can read them.
#[derive(Clone)]
pub struct Metrics(Prometheus);

impl Metrics {
    /// Returns the metrics in the text format.
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// Returns the sum of a metric over all series with these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.text(), metric, labels)
    }
}

impl Default for TestTelemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl TestTelemetry {
    pub fn new() -> Self {
        Self::with_sampler_and_filter(Sampler::AlwaysOn, LevelFilter::INFO)
    }

    /// Returns telemetry with a sampler and a filter of `tracing` spans.
    pub fn with_sampler_and_filter(
        sampler: impl Into<Box<dyn ShouldSample>>,
        filter: impl Filter<Registry> + Send + Sync + 'static,
    ) -> Self {
        Self::build(sampler, |layer| layer, filter)
    }

    /// Returns telemetry with a tracing-opentelemetry layer that `configure` changes.
    pub fn with_tracing_layer(configure: impl FnOnce(OtelLayer) -> OtelLayer) -> Self {
        Self::build(Sampler::AlwaysOn, configure, LevelFilter::INFO)
    }

    fn build(
        sampler: impl Into<Box<dyn ShouldSample>>,
        configure: impl FnOnce(OtelLayer) -> OtelLayer,
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
            installed: LocalTelemetry::install(&source, configure, filter),
            source,
        }
    }

    /// Returns the provider of direct spans.
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.source.provider
    }

    /// Returns the provider and the recorder.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the ended spans in the order of their ends.
    pub fn spans(&self) -> Vec<SpanData> {
        let flushed = self.source.recorder.flush(Duration::from_secs(20));
        flushed.unwrap();
        self.spans.get_finished_spans().unwrap()
    }

    /// Returns the metrics in the text format.
    pub fn metrics(&self) -> String {
        self.installed.metrics.text()
    }

    /// Returns all series, sorted. Histograms are represented by their count.
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

    /// Returns the sum of a metric over all series with these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.installed.metrics.sum(metric, labels)
    }

    /// Returns the metrics, for code that cannot borrow the telemetry.
    pub fn shared_metrics(&self) -> Metrics {
        self.installed.metrics.clone()
    }

    /// Waits until the metrics `{prefix}_requests_*` count an exchange that has ended, and returns its span.
    pub async fn only_span(&self, prefix: &str) -> SpanData {
        let total = format!("{prefix}_requests_total");
        let in_flight = format!("{prefix}_requests_in_flight");
        self.wait_until("the exchange ends", |telemetry| {
            !telemetry.spans().is_empty()
                && telemetry.sum(&total, &[]) > 0.0
                && telemetry.sum(&in_flight, &[]) == 0.0
        })
        .await;
        match <[SpanData; 1]>::try_from(self.spans()) {
            Ok([span]) => span,
            Err(spans) => panic!("one span, not {spans:#?}"),
        }
    }

    /// Waits until the condition is true. Other tasks of the thread run at the same time.
    pub async fn wait_until(&self, description: &str, mut condition: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                tokio::task::yield_now().await;
            }
        };
        with_timeout(description, waiting).await;
    }
}

/// Returns the sum of a metric in the text format over all series with these labels.
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

/// Returns the labels and value of each line of a metric in the text format.
fn series<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let series = line.strip_prefix(metric)?;
        let (labels, value) = series.rsplit_once(' ')?;
        if !labels.is_empty() && !labels.starts_with('{') {
            return None;
        }
        Some((labels, value.parse().ok()?))
    })
}

/// Returns a layer with the names of the conventions, prefixed so that they differ from the short ones.
pub fn with_convention_names(metrics: MetricsLayer) -> MetricsLayer {
    metrics
        .names(Names::Conventions)
        .rename(|name| format!("conventions_{name}"))
}

/// Checks that the layer of [`with_convention_names`] counted one exchange with this `error.type`.
pub fn assert_metrics_error_type(telemetry: &TestTelemetry, kind: &str, error: Option<&str>) {
    let metric = format!("conventions_http_{kind}_request_duration_seconds_count");
    let metrics = telemetry.metrics();
    assert_eq!(telemetry.sum(&metric, &[]), 1.0, "{metrics}");
    match error {
        Some(error) => {
            let labels = [("error_type", error)];
            assert_eq!(telemetry.sum(&metric, &labels), 1.0, "{metrics}");
        }
        None => assert!(!metrics.contains("error_type"), "{metrics}"),
    }
}

/// Awaits a future. Panics after 20 seconds.
pub async fn with_timeout<T>(description: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out: {description}"),
    }
}

/// Returns an attribute of a span.
pub fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.clone())
}

/// Returns a string attribute of a span. Panics if it has another type.
pub fn text(span: &SpanData, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::String(value) => Some(value.to_string()),
        other => panic!("{key} is not a string: {other:?}"),
    }
}

/// Returns an integer attribute of a span. Panics if it has another type.
pub fn integer(span: &SpanData, key: &str) -> Option<i64> {
    match attribute(span, key)? {
        Value::I64(value) => Some(value),
        other => panic!("{key} is not an integer: {other:?}"),
    }
}
