//! The telemetry of one test on one thread: spans in memory, metrics in a local recorder.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{Value, trace::SpanKind};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use smol::{
    Timer,
    future::{or, yield_now},
};
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::Recorder;
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};

/// The timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Spans and metrics recorded on this thread.
pub struct Telemetry {
    spans: Spans,
    metrics: Prometheus,
    recorder: Recorder,
    _metrics_recorder: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

/// An exporter that stores the spans in memory.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    pub fn new() -> Self {
        let spans = Spans::default();
        let recorder = Recorder::builder(spans.clone()).build().unwrap();
        // Dependencies create spans at lower levels.
        let layer = recorder.layer().with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(layer);
        let (metrics_recorder, metrics) = Prometheus::builder().build().unwrap();
        Self {
            spans,
            metrics,
            recorder,
            _metrics_recorder: metrics::set_default_local_recorder(Box::leak(Box::new(
                metrics_recorder,
            ))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the ended spans, in the order of their ends.
    pub fn spans(&self) -> Vec<SpanData> {
        self.recorder.flush(TIMEOUT).unwrap();
        self.spans.0.lock().unwrap().clone()
    }

    /// Returns the only span with this name.
    pub fn span_with_name(&self, name: &str) -> SpanData {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{name:?} spans: {spans:#?}");
        spans.remove(0)
    }

    /// Returns the only span of this kind with this `server.port`.
    pub fn span(&self, kind: SpanKind, port: u16) -> SpanData {
        let mut spans = self.spans();
        spans.retain(|span| {
            span.span_kind == kind
                && attribute(span, "server.port") == Some(Value::I64(port.into()))
        });
        assert_eq!(spans.len(), 1, "{kind:?} spans of port {port}: {spans:#?}");
        spans.remove(0)
    }

    /// Returns the sum of a metric over the series with all of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        series(&self.metrics.render(), metric)
            .filter(|(series_labels, _)| {
                labels
                    .iter()
                    .all(|(k, v)| series_labels.contains(&format!("{k}=\"{v}\"")))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// Waits until a condition is true. Other tasks of the thread run at the same time.
    pub async fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                yield_now().await;
            }
        };
        with_timeout(what, waiting).await;
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Returns the labels and value of each series of a metric in the text format.
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

/// Waits for a future, at most `TIMEOUT`.
pub async fn with_timeout<T>(what: &str, future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(TIMEOUT).await;
        panic!("timed out: {what}")
    };
    or(future, late).await
}

/// Returns the value of an attribute of a span.
pub fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.clone())
}
