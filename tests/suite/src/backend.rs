//! The span backends, so that a test runs over all of them.

use std::sync::Arc;

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower_otel_trace::{AnyBackend, Recorder, TraceLayer};

/// A span backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Tracing,
    Tracer,
    Recorder,
}

/// The provider and the recorder of the spans that are not `tracing` spans.
#[derive(Clone, Debug)]
pub struct Source {
    pub provider: SdkTracerProvider,
    pub recorder: Arc<Recorder>,
}

impl Source {
    /// A source whose spans are not exported.
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
    pub const ALL: [Self; 3] = [Self::Tracing, Self::Tracer, Self::Recorder];

    /// Returns the layer with this backend.
    pub fn layer(self, source: &Source, layer: TraceLayer) -> AnyTraceLayer {
        match self {
            Self::Tracing => layer.any_backend(),
            Self::Tracer => layer.tracer_provider(&source.provider).any_backend(),
            Self::Recorder => layer.recorder(&source.recorder).any_backend(),
        }
    }
}
