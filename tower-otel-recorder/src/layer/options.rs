//! The options of the layer.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use tracing::{Metadata, level_filters::LevelFilter};

use super::open_spans::OpenSpans;
use crate::{origin::Origin, shared::Shared, tracer::RecorderTracer};

/// A [`Layer`](tracing_subscriber::Layer) that records the spans and events of `tracing`.
///
/// Returned by [`Recorder::layer`](crate::Recorder::layer). The subscriber must be based on
/// [`Registry`](tracing_subscriber::Registry).
///
/// Add one such layer to a subscriber. A second layer that is added with `with` records nothing. A second layer in the same
/// `Vec`, or composed with `and_then`, records all spans again.
///
/// ```
/// # use tower_otel_recorder::{Recorder, RecorderLayer};
/// use tracing_subscriber::filter::LevelFilter;
///
/// # fn layer(recorder: &Recorder) -> RecorderLayer {
/// let layer = recorder.layer().spans(LevelFilter::INFO).events(LevelFilter::WARN).location(false);
/// # layer
/// # }
/// ```
///
/// # Spans
///
/// | of the span | recorded from |
/// |---|---|
/// | name | the field `otel.name`, else the name of the span |
/// | kind | the field `otel.kind`: `server`, `client`, `producer`, `consumer` or `internal`, the default |
/// | status | the fields `otel.status_code` (`OK` or `ERROR`) and `otel.status_description`, and events |
/// | attributes | all other fields; `code.file.path`, `code.line.number` and `target` |
/// | parent | the explicit parent, else the span in the current OpenTelemetry context |
/// | links | [`follows_from`](tracing::Span::follows_from), while the other span is open |
/// | start | the creation of the span |
/// | end | the last exit of the span, or its close if it was never entered |
///
/// Declare `otel.*` fields like other fields; they may be recorded later. Letter case of kind and status is ignored. Integers
/// that do not fit in `i64` are recorded as text. A field with a `dyn Error` records its message as the attribute of the
/// field and as `exception.message`, and the causes of the error as `exception.stacktrace`.
///
/// # Events
///
/// An event is recorded in its parent span, with its level, target and fields. Its name is its message. An event with a field
/// `error` and without a message, such as that of `#[instrument(err)]`, has the name `exception` and sets the status of the
/// span to `Error`. An event of level `ERROR` also sets it.
///
/// # Context
///
/// Entering a span attaches its OpenTelemetry context. So the span is the parent of spans of the OpenTelemetry API, injected
/// headers and log lines have its ids, and changes to `Context::current().span()` apply to it. Unsampled spans also have a
/// context.
///
/// # Clones and `reload`
///
/// Add a clone to another subscriber. Do not replace a layer that has open spans, by a clone or with
/// `tracing_subscriber::reload`: the new layer does not end these spans.
/// [`RecorderSpanExt`](crate::RecorderSpanExt) does not find a layer inside a `reload::Layer`.
#[derive(Clone, Debug)]
#[must_use = "a layer records spans when it is added to a subscriber"]
pub struct RecorderLayer {
    pub(super) tracer: RecorderTracer,
    pub(super) span_level: LevelFilter,
    pub(super) events: LevelFilter,
    pub(super) location: bool,
    pub(super) target: bool,
    pub(super) level: bool,
    pub(super) activates_context: bool,
    /// Whether `TraceLayer` may write the records of its spans.
    pub(super) is_alone: bool,
    pub(super) spans: LayerSpans,
}

/// The spans of a layer in its subscriber. A clone has no spans, because another subscriber may use the same ids.
#[derive(Debug)]
pub(super) struct LayerSpans {
    pub(super) open: Arc<OpenSpans>,
    /// `false` if the subscriber has another such layer, which records the spans.
    pub(super) records: bool,
}

impl Default for LayerSpans {
    fn default() -> Self {
        Self {
            open: Arc::default(),
            records: true,
        }
    }
}

impl Clone for LayerSpans {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl RecorderLayer {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            tracer: RecorderTracer::new(Arc::clone(shared), None),
            span_level: LevelFilter::TRACE,
            events: LevelFilter::INFO,
            location: true,
            target: true,
            level: false,
            activates_context: true,
            is_alone: false,
            spans: LayerSpans::default(),
        }
    }

    /// Sets the instrumentation scope of the spans. Default: name and version of this crate.
    pub fn scope(mut self, scope: InstrumentationScope) -> Self {
        self.tracer = self.tracer.with_scope(scope);
        self
    }

    /// Sets the most verbose level of the spans that are recorded. Default: `TRACE`.
    ///
    /// A child of a span that is not recorded is recorded as a child of the next recorded ancestor. This also applies in a
    /// spawned task that enters only the unrecorded span. A filter of the layer (`with_filter`) loses the ancestor in such a
    /// task, and looks each span up when it is entered, exited and closed. Other layers still see the spans, so this level does
    /// not lower the maximum level of the subscriber.
    pub fn spans(mut self, level: impl Into<LevelFilter>) -> Self {
        self.span_level = level.into();
        self
    }

    /// Sets the most verbose level of the events that are recorded. Default: `INFO`. `OFF` records no events.
    ///
    /// Events wait in memory for the end of their span, and a span has [at most 128](crate::RecorderBuilder::limits) of
    /// them. So `DEBUG` and `TRACE`, where libraries emit many events, are off by default. Events of level `ERROR` always
    /// set the status of their span.
    pub fn events(mut self, level: impl Into<LevelFilter>) -> Self {
        self.events = level.into();
        self
    }

    /// Sets whether spans and events have the attributes `code.file.path` and `code.line.number`. Default: `true`.
    pub const fn location(mut self, record: bool) -> Self {
        self.location = record;
        self
    }

    /// Sets whether spans have the attribute `target`. Default: `true`. Events always have it.
    pub const fn target(mut self, record: bool) -> Self {
        self.target = record;
        self
    }

    /// Sets whether spans have the attribute `level`. Default: `false`. Events always have it.
    pub const fn level(mut self, record: bool) -> Self {
        self.level = record;
        self
    }

    /// Sets whether entering a span attaches its OpenTelemetry context. Default: `true`.
    ///
    /// If `false`, entering a span costs less. Then only spans of `tracing` have the right parent: the entered span is not
    /// the parent of spans of the OpenTelemetry API, and injected headers and log lines do not have its ids.
    pub const fn activate_context(mut self, activate: bool) -> Self {
        self.activates_context = activate;
        self
    }

    /// Lets `TraceLayer` [write the records of its spans](Self::open), which costs less than reading their fields.
    ///
    /// The layer must be the first one and receive every span: it has no filter. No other layer of its subscriber may read the
    /// current OpenTelemetry context when it filters or receives a new span, because it is not that of the caller.
    #[doc(hidden)]
    pub const fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }
}

impl RecorderLayer {
    /// Returns a number that is unique to this layer.
    pub(super) fn number(&self) -> usize {
        Arc::as_ptr(&self.spans.open).addr()
    }

    /// Lets `other`, a layer of the same subscriber, record the spans. The extension trait may find either layer.
    pub(super) fn leave_spans_to(&mut self, other: &Self) {
        *self = other.clone();
        self.spans = LayerSpans {
            open: Arc::clone(&other.spans.open),
            records: false,
        };
    }

    pub(super) const fn origin(&self, metadata: &'static Metadata<'static>) -> Origin {
        Origin {
            metadata,
            location: self.location,
            target: self.target,
            level: self.level,
        }
    }
}
