//! Where spans and metrics go: into the memory of this process.

use std::{
    collections::VecDeque,
    future::{Future, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::trace::{TraceId, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::time;
use tower_otel_metrics::prometheus::Prometheus;
use tracing_subscriber::{
    Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{BoxError, services::ORDER, tree};

/// Both signals, started.
pub(crate) struct Telemetry {
    pub(crate) spans: Spans,
    pub(crate) prometheus: Prometheus,
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// The recorder comes before the first request, so that no handle stays mute.
    pub(crate) fn start() -> Result<Self, BoxError> {
        let spans = Spans::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        // Spans of the layers and of the handlers; the libraries below have some at lower levels.
        let opentelemetry = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("quickstart"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(LevelFilter::INFO);
        tracing_subscriber::registry()
            .with(opentelemetry)
            .try_init()?;
        Ok(Self {
            spans,
            prometheus: Prometheus::builder().native_histograms().install()?,
            provider,
        })
    }

    pub(crate) fn stop(&self) -> OTelSdkResult {
        self.provider.shutdown()
    }
}

/// The newest spans that have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Arc<Mutex<VecDeque<SpanData>>>);

/// How many spans are kept.
const KEPT: usize = 2048;

impl Spans {
    /// The trace of the newest order, once all of its spans have ended: those of the stock may
    /// end a moment after the shop has its answer.
    pub(crate) async fn await_order(&self) -> Vec<SpanData> {
        loop {
            if let Some(trace) = self.newest_trace(|root| root.name == ORDER) {
                return trace;
            }
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The newest trace that is whole and begins with such a span.
    pub(crate) fn newest_trace(&self, with: impl Fn(&SpanData) -> bool) -> Option<Vec<SpanData>> {
        let spans = self.lock();
        let mut seen: Vec<TraceId> = Vec::new();
        for newest in spans.iter().rev() {
            let id = newest.span_context.trace_id();
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let trace: Vec<SpanData> = spans
                .iter()
                .filter(|span| span.span_context.trace_id() == id)
                .cloned()
                .collect();
            if tree::whole(&trace).is_some_and(&with) {
                return Some(trace);
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SpanData>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanExporter for Spans {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let mut spans = self.lock();
        spans.extend(batch);
        let excess = spans.len().saturating_sub(KEPT);
        spans.drain(..excess);
        ready(Ok(()))
    }
}
