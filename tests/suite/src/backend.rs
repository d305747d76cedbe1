//! The span backends, so that a test runs over all of them.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower_otel_trace::{AnyBackend, Recorder, TraceLayer};
use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt;

use crate::telemetry::scope;

/// A span backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `tracing` spans that tracing-opentelemetry exports.
    Tracing,
    /// `tracing` spans that the layer of the recorder records.
    TracingRecorder,
    /// `tracing` spans whose records `TraceLayer` writes, below the layer of the recorder.
    TracingRecord,
    Tracer,
    Recorder,
}

thread_local! {
    static RECORDS_TRACING: Cell<bool> = const { Cell::new(false) };
    static SUBSCRIBER_OF_RECORD: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Returns whether the layer of the recorder records the `tracing` spans of this thread, in place of
/// tracing-opentelemetry.
pub fn records_tracing() -> bool {
    RECORDS_TRACING.get()
}

/// The provider and the recorder of the spans that are not `tracing` spans.
#[derive(Clone, Debug)]
pub struct Source {
    pub provider: SdkTracerProvider,
    pub recorder: Arc<Recorder>,
}

impl Source {
    /// Returns a source whose spans are not exported.
    pub fn discarding() -> Self {
        let recorder = Recorder::builder(InMemorySpanExporter::default()).build();
        Self {
            provider: SdkTracerProvider::default(),
            recorder: Arc::new(recorder.unwrap()),
        }
    }
}

/// A [`TraceLayer`] with any backend.
pub type AnyTraceLayer = TraceLayer<AnyBackend>;

impl Backend {
    pub const ALL: [Self; 5] = [
        Self::Tracing,
        Self::TracingRecorder,
        Self::TracingRecord,
        Self::Tracer,
        Self::Recorder,
    ];

    /// Returns whether the spans are `tracing` spans.
    pub fn opens_tracing_spans(self) -> bool {
        matches!(
            self,
            Self::Tracing | Self::TracingRecorder | Self::TracingRecord
        )
    }

    /// Returns the layer with this backend. The backend receives the `tracing` spans of this thread until the next call.
    pub fn layer(self, source: &Source, layer: TraceLayer) -> AnyTraceLayer {
        RECORDS_TRACING.set(self == Self::TracingRecorder);
        // The subscriber of the test is current again before another one is set.
        SUBSCRIBER_OF_RECORD.set(None);
        if self == Self::TracingRecord {
            let spans = source.recorder.layer().scope(scope());
            let spans = spans.spans(LevelFilter::INFO).alone();
            let subscriber = tracing_subscriber::registry().with(spans);
            SUBSCRIBER_OF_RECORD.set(Some(tracing::subscriber::set_default(subscriber)));
        }
        match self {
            Self::Tracing | Self::TracingRecorder | Self::TracingRecord => layer.any_backend(),
            Self::Tracer => layer.tracer_provider(&source.provider).any_backend(),
            Self::Recorder => layer.recorder(&source.recorder).any_backend(),
        }
    }
}
