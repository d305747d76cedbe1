//! Telemetry of one test, on one thread: spans in memory, metrics in a recorder of its own.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{
    Value,
    trace::{SpanKind, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use smol::{
    Timer,
    future::{or, yield_now},
};
use tower_otel_metrics::prometheus::Prometheus;
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};

/// Everything recorded on this thread.
pub struct Scene {
    spans: Spans,
    metrics: Prometheus,
    _provider: SdkTracerProvider,
    _recorder: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

/// Keeps the spans that have ended.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    pub fn new() -> Self {
        let spans = Spans::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        // The libraries below have spans of their own at lower levels.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(layer);
        let (recorder, metrics) = Prometheus::builder().build().unwrap();
        Self {
            spans,
            metrics,
            _provider: provider,
            _recorder: metrics::set_default_local_recorder(Box::leak(Box::new(recorder))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Spans that have ended, in the order of their ends.
    pub fn spans(&self) -> Vec<SpanData> {
        self.spans.0.lock().unwrap().clone()
    }

    /// The one span of this kind that says it belongs to this port.
    pub fn span(&self, kind: SpanKind, port: u16) -> SpanData {
        let mut spans = self.spans();
        spans.retain(|span| {
            span.span_kind == kind
                && attribute(span, "server.port") == Some(Value::I64(port.into()))
        });
        assert_eq!(spans.len(), 1, "{kind:?} spans of port {port}: {spans:#?}");
        spans.remove(0)
    }

    /// The sum of a metric over the series that have all of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        series(&self.metrics.render(), metric)
            .filter(|(has, _)| {
                labels
                    .iter()
                    .all(|(k, v)| has.contains(&format!("{k}=\"{v}\"")))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// Waits until something is true, letting the other tasks of the thread go on.
    pub async fn until(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !is(self) {
                yield_now().await;
            }
        };
        within(what, waiting).await;
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").finish_non_exhaustive()
    }
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

/// Something that has to happen, and soon.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(20)).await;
        panic!("{what}: it did not happen")
    };
    or(future, late).await
}

/// An attribute of a span.
pub fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.clone())
}
