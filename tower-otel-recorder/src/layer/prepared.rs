//! Spans that start before their `tracing` span.
//!
//! `TraceLayer` knows the attributes of its spans. It writes them to a record directly, because reading them back from fields
//! costs more. The `tracing` span has the same values as fields, for other layers.

use std::{borrow::Cow, cell::RefCell};

use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use tracing::{Metadata, Span};

use super::{
    entered,
    options::RecorderLayer,
    span_state::{Recording, SpanState},
};
use crate::{record::SpanRecord, start::SpanStart, tracer::RecorderTracer};

thread_local! {
    /// The span whose `tracing` span this thread is creating.
    static PREPARED: RefCell<Option<PreparedSpan>> = const { RefCell::new(None) };
}

struct PreparedSpan {
    layer: usize,
    metadata: &'static Metadata<'static>,
    context: Context,
    recording: Recording,
}

impl RecorderLayer {
    /// Starts a span, whose name and attributes `write` writes, and creates its `tracing` span with `create`. The fields of the
    /// `tracing` span are not read.
    ///
    /// Returns the `tracing` span, and whether keep rules decide at its end whether it is exported. The latter is `None` if this
    /// layer has not received the span. Returns `None` without calling `create` if the layer cannot start the span in this way,
    /// for example because it is not [alone](Self::alone). `start` and `sampler_input` are those of [`RecorderTracer::start_record`].
    #[doc(hidden)]
    #[inline]
    pub fn open<'n>(
        &self,
        metadata: &'static Metadata<'static>,
        start: SpanStart<'_>,
        sampler_input: impl FnOnce() -> (Cow<'n, str>, Vec<KeyValue>),
        write: impl FnOnce(&mut SpanRecord),
        create: impl FnOnce() -> Span,
    ) -> Option<(Span, Option<bool>)> {
        let is_recorded = self.spans.records && self.records_level(metadata);
        if !self.is_alone || !is_recorded || !self.activates_context || !entered::is_available() {
            return None;
        }
        if self.tracer.shared().pipeline.is_closed() || start.base.is_telemetry_suppressed() {
            return None;
        }
        let origin = self.origin(metadata);
        let started = self.tracer.start_record(start, sampler_input, |record| {
            record.origin = Some(origin);
            write(record);
        });
        let context = started.context?;
        let recording = match started.span {
            None => Recording::Unsampled,
            Some(span) if context.span().span_context().is_sampled() => Recording::Sampled(span),
            Some(span) => Recording::Held(span),
        };
        let is_held = matches!(recording, Recording::Held(_));
        let prepared = Prepared::set(self, metadata, context, recording)?;
        let span = create();
        Some((span, prepared.is_taken().then_some(is_held)))
    }
}

/// Takes the prepared span of a new `tracing` span, if there is one.
#[inline]
pub(super) fn take(
    layer: &RecorderLayer,
    metadata: &'static Metadata<'static>,
) -> Option<(Context, Recording)> {
    if !layer.is_alone {
        return None;
    }
    let take = |prepared: &RefCell<Option<PreparedSpan>>| {
        let mut prepared = prepared.borrow_mut();
        let is_prepared = |prepared: &mut PreparedSpan| {
            std::ptr::eq(prepared.metadata, metadata) && prepared.layer == layer.number()
        };
        let prepared = prepared.take_if(is_prepared)?;
        Some((prepared.context, prepared.recording))
    };
    PREPARED.try_with(take).ok().flatten()
}

/// A prepared span. If it is not taken, it is discarded.
struct Prepared<'a> {
    tracer: &'a RecorderTracer,
    /// The span that was prepared around this one: another layer has handled a request while it received a new span.
    outer: Option<PreparedSpan>,
}

impl<'a> Prepared<'a> {
    fn set(
        layer: &'a RecorderLayer,
        metadata: &'static Metadata<'static>,
        context: Context,
        recording: Recording,
    ) -> Option<Self> {
        let mut prepared = Some(PreparedSpan {
            layer: layer.number(),
            metadata,
            context,
            recording,
        });
        let set = PREPARED.try_with(|place| {
            let place = &mut *place.borrow_mut();
            let outer = place.take();
            *place = prepared.take();
            outer
        });
        let tracer = &layer.tracer;
        if let Ok(outer) = set {
            return Some(Self { tracer, outer });
        }
        discard(tracer, prepared);
        None
    }

    #[inline]
    fn is_taken(&self) -> bool {
        let is_none = |place: &RefCell<Option<PreparedSpan>>| place.borrow().is_none();
        PREPARED.try_with(is_none).unwrap_or(true)
    }

    #[cold]
    fn discard(&mut self) {
        let outer = self.outer.take();
        let unused = PREPARED.try_with(|place| place.replace(outer));
        discard(self.tracer, unused.ok().flatten());
    }
}

impl Drop for Prepared<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.outer.is_some() || !self.is_taken() {
            self.discard();
        }
    }
}

#[cold]
fn discard(tracer: &RecorderTracer, prepared: Option<PreparedSpan>) {
    if let Some(prepared) = prepared {
        tracer.discard_span(SpanState::new(prepared.context, prepared.recording));
    }
}
