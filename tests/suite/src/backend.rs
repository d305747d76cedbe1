//! The span backends, so that a test runs over all of them.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower_otel_trace::{AnyBackend, Recorder, TraceLayer};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{
    Layer,
    filter::DynFilterFn,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

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
    static SUBSCRIBER_OF_RECORD: RefCell<Option<SubscriberOfRecord>> = const { RefCell::new(None) };
}

/// Returns whether the layer of the recorder records the `tracing` spans of this thread, in place of
/// tracing-opentelemetry.
pub fn records_tracing() -> bool {
    RECORDS_TRACING.get()
}

/// The subscriber of [`Backend::TracingRecord`], with the layer of this recorder.
struct SubscriberOfRecord {
    recorder: Arc<Recorder>,
    _guard: DefaultGuard,
}

impl SubscriberOfRecord {
    fn set(recorder: &Arc<Recorder>) -> Self {
        let spans = recorder.layer().scope(scope()).spans(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(spans.alone());
        Self {
            recorder: Arc::clone(recorder),
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }
}

/// Makes the subscriber of the test current again, before it is dropped or another one is set.
pub(crate) fn leave_subscriber_of_record() {
    SUBSCRIBER_OF_RECORD.set(None);
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
        let is_set = SUBSCRIBER_OF_RECORD.with_borrow(|set| {
            let is_of_source =
                |set: &SubscriberOfRecord| Arc::ptr_eq(&set.recorder, &source.recorder);
            self == Self::TracingRecord && set.as_ref().is_some_and(is_of_source)
        });
        if !is_set {
            leave_subscriber_of_record();
            if self == Self::TracingRecord {
                let set = SubscriberOfRecord::set(&source.recorder);
                SUBSCRIBER_OF_RECORD.set(Some(set));
            }
        }
        self.layer_below_subscriber(source, layer)
    }

    /// Returns the layer of the recorder, for the subscriber of a test. If the spans are not from this layer, a filter hides
    /// them.
    pub fn recorder_layer<S>(self, recorder: &Recorder) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let layer = recorder.layer().spans(LevelFilter::INFO);
        match self {
            Self::TracingRecord => layer.alone().boxed(),
            _ => {
                let is_shown = |metadata: &Metadata<'_>, _: &Context<'_, S>| {
                    records_tracing() && *metadata.level() <= LevelFilter::INFO
                };
                layer.with_filter(DynFilterFn::new(is_shown)).boxed()
            }
        }
    }

    /// Returns the layer with this backend, for a test with its own subscriber.
    pub fn layer_below_subscriber(self, source: &Source, layer: TraceLayer) -> AnyTraceLayer {
        RECORDS_TRACING.set(matches!(self, Self::TracingRecorder | Self::TracingRecord));
        match self {
            Self::Tracing | Self::TracingRecorder | Self::TracingRecord => layer.any_backend(),
            Self::Tracer => layer.tracer_provider(&source.provider).any_backend(),
            Self::Recorder => layer.recorder(&source.recorder).any_backend(),
        }
    }
}
