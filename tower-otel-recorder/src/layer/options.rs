//! The options of the layer.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use tracing::{Metadata, level_filters::LevelFilter};

use super::open_spans::OpenSpans;
use crate::{origin::Origin, shared::Shared, tracer::RecorderTracer};

/// A [`Layer`](tracing_subscriber::Layer) that records the spans and events of `tracing`.
///
/// [`Recorder::layer`](crate::Recorder::layer) returns it. The subscriber has to be built on [`Registry`](tracing_subscriber::Registry). It has
/// one such layer. A second one that is added by `with` records nothing. In one `Vec` with the first, or composed with it by
/// `and_then`, it records all spans again.
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
/// `otel.*` fields have to be declared like other fields, and may be recorded later. Integers that do not fit in `i64` are
/// recorded as text. An error, as `dyn Error`, is recorded as its message, `exception.message` and its causes in
/// `exception.stacktrace`.
///
/// # Events
///
/// An event is recorded in the span it happens in, with its level, target and fields. Its name is its message. An event
/// without a message and with a field `error`, as `#[instrument(err)]` emits it, has the name `exception`, and sets the
/// status of the span. An event of level `ERROR` also sets it.
///
/// # Context
///
/// Entering a span attaches its OpenTelemetry context. So spans of the OpenTelemetry API, injected headers and log lines
/// belong to the span they are in, and `Context::current().span()` changes it. Spans that are not sampled have a context
/// too.
///
/// # Clones and `reload`
///
/// A clone is for another subscriber. A layer that has open spans must not be replaced, by a clone or by
/// `tracing_subscriber::reload`: the new layer does not know these spans, and does not end them.
/// [`RecorderSpanExt`](crate::RecorderSpanExt) does not find a layer inside of a `reload::Layer`.
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
    pub(super) spans: LayerSpans,
}

/// The spans of a layer in its subscriber. A clone is for another subscriber, which gives its spans the same ids.
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
            spans: LayerSpans::default(),
        }
    }

    /// Sets the instrumentation scope of the spans. Default: name and version of this crate.
    pub fn scope(mut self, scope: InstrumentationScope) -> Self {
        self.tracer = self.tracer.with_scope(scope);
        self
    }

    /// Sets the least severe level of the spans that are recorded. Default: `TRACE`.
    ///
    /// The children of a span that is not recorded belong to its next ancestor. Unlike a filter of the layer, it does not
    /// look each span up when it is entered, exited and closed. Other layers still see the spans, so it does not lower the
    /// maximum level of the subscriber.
    pub fn spans(mut self, level: impl Into<LevelFilter>) -> Self {
        self.span_level = level.into();
        self
    }

    /// Sets the least severe level of the events that are recorded. Default: `INFO`. `OFF` records none.
    ///
    /// Events wait in memory for the end of their span, and a span has [at most 128](crate::RecorderBuilder::limits) of
    /// them. So the many events of libraries at `DEBUG` and `TRACE` are recorded on request only. Events of level `ERROR`
    /// set the status of their span in any case.
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
    /// If `false`, entering a span costs less, and only spans of `tracing` have the right parent: spans of the
    /// OpenTelemetry API, injected headers and log lines do not belong to the span they are in.
    pub const fn activate_context(mut self, activate: bool) -> Self {
        self.activates_context = activate;
        self
    }
}

impl RecorderLayer {
    /// Returns a number that other layers do not have.
    pub(super) fn number(&self) -> usize {
        Arc::as_ptr(&self.spans.open).addr()
    }

    /// Leaves the spans to `other`, a layer of the same subscriber. The extension trait may find either layer.
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
