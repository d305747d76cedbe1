//! Spans that start before their `tracing` span.
//!
//! `TraceLayer` knows the attributes of its spans. It writes them to a record directly, because reading them back from fields
//! costs more. The `tracing` span has the same values as fields, for other layers.

use std::{borrow::Cow, cell::Cell, mem, ptr, time::Instant};

use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use tracing::{Dispatch, Metadata, Span, span::Id};

use super::{
    entered,
    options::RecorderLayer,
    span_state::{Recording, SpanState},
};
use crate::{record::SpanRecord, start::SpanStart, tracer::RecorderTracer};

thread_local! {
    /// The `tracing` span that this thread is creating for a prepared span.
    static EXPECTED: Cell<Option<ExpectedSpan>> = const { Cell::new(None) };

    /// The id and the end of the prepared span that this thread is closing.
    static ENDED: Cell<Option<(u64, Instant)>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct ExpectedSpan {
    layer: usize,
    metadata: &'static Metadata<'static>,
    /// The id of the span, when the layer has received it.
    received: Option<u64>,
}

impl RecorderLayer {
    /// Starts a span, whose name and attributes `write` writes, and creates its `tracing` span with `create`. The fields of the
    /// `tracing` span are not read. [Close](Self::close) the span when it has ended.
    ///
    /// `start` and `sampler_input` are those of [`RecorderTracer::start_record`].
    ///
    /// Returns the `tracing` span, its context, and whether keep rules decide at its end whether it is exported. Context and
    /// decision are `None` if this layer has not received the span. Returns `None` without calling `create` if the recorder is
    /// shut down or telemetry is suppressed. Call it only if the layer [can open](Self::can_open) the span.
    #[doc(hidden)]
    #[inline]
    pub fn open<'n>(
        &self,
        metadata: &'static Metadata<'static>,
        start: SpanStart<'_>,
        sampler_input: impl FnOnce() -> (Cow<'n, str>, Vec<KeyValue>),
        write: impl FnOnce(&mut SpanRecord),
        create: impl FnOnce() -> Span,
    ) -> Option<(Span, Option<(Context, bool)>)> {
        if self.tracer.shared().pipeline.is_closed() || start.base.is_telemetry_suppressed() {
            return None;
        }
        let origin = self.origin(metadata);
        let started = self.tracer.start_record(start, sampler_input, |record| {
            record.origin = Some(origin);
            write(record);
        });
        let context = started.context?;
        let is_sampled = context.span().span_context().is_sampled();
        let recording = match started.span {
            span if !span.is_some() => Recording::Unsampled,
            span if is_sampled => Recording::Sampled(span),
            span => Recording::Held(span),
        };
        let is_held = matches!(recording, Recording::Held(_));
        let mut prepared = PreparedSpan {
            tracer: &self.tracer,
            context,
            recording,
        };
        let (span, received) = self.receive(metadata, create);
        let received = received.map(|id| {
            let context = prepared.context.clone();
            prepared.insert(self, id);
            (context, is_held)
        });
        Some((span, received))
    }

    /// Returns whether [`open`](Self::open) can start a span on this thread: the layer is [alone](Self::alone) and records such
    /// spans, and the thread is not destroying its thread-locals.
    #[doc(hidden)]
    #[inline]
    pub fn can_open(&self, metadata: &Metadata<'_>) -> bool {
        self.is_alone
            && self.spans.records
            && self.records_level(metadata)
            && self.activates_context
            && entered::is_available()
    }

    /// Replaces the innermost span that its owner has entered on this thread, and returns the previous one.
    ///
    /// Call it with `(0, id)` immediately before a span that [`open`](Self::open) has started is entered, and with the result
    /// after it is exited. The layer does not attach the context of the span then. The caller does, before.
    #[doc(hidden)]
    #[inline]
    pub fn replace_entered(span: (usize, u64)) -> (usize, u64) {
        entered::replace_prepared(span)
    }

    /// Closes a span that [`open`](Self::open) has started, and sets its end. It is exported when its last clone and its last child
    /// are closed.
    #[doc(hidden)]
    #[inline]
    pub fn close(span: &mut Span, at: Instant) {
        let ids = span.with_subscriber(|(id, subscriber)| (id.into_u64(), subscriber.clone()));
        let Some((id, subscriber)) = ids else { return };
        let outer = ENDED.replace(Some((id, at)));
        *span = Span::none();
        if ENDED.replace(outer).is_some() {
            set_end(&subscriber, id, at);
        }
    }

    /// Creates a `tracing` span. Returns its id, if this layer has received it.
    #[inline]
    fn receive(
        &self,
        metadata: &'static Metadata<'static>,
        create: impl FnOnce() -> Span,
    ) -> (Span, Option<u64>) {
        let expected = ExpectedSpan {
            layer: self.number(),
            metadata,
            received: None,
        };
        // Another layer may handle a request while it receives a new span.
        let _outer = RestoreExpected(EXPECTED.replace(Some(expected)));
        let span = create();
        let received = EXPECTED.get().and_then(|expected| expected.received);
        (span, received)
    }
}

/// Returns whether a new `tracing` span was expected. Its state is inserted when it is created.
#[inline]
pub(super) fn is_expected(
    layer: &RecorderLayer,
    metadata: &'static Metadata<'static>,
    id: &Id,
) -> bool {
    if !layer.is_alone {
        return false;
    }
    match EXPECTED.get() {
        Some(expected)
            if ptr::eq(expected.metadata, metadata)
                && expected.layer == layer.number()
                && expected.received.is_none() =>
        {
            EXPECTED.set(Some(ExpectedSpan {
                received: Some(id.into_u64()),
                ..expected
            }));
            true
        }
        _ => false,
    }
}

/// Returns the end of a span that this thread closes, if its owner [closes](RecorderLayer::close) it.
#[inline(always)]
pub(super) fn take_end(id: u64) -> Option<Instant> {
    let (ended, at) = ENDED.get()?;
    if ended != id {
        return None;
    }
    ENDED.set(None);
    Some(at)
}

/// Sets the end of a span that has other clones, or children that are open.
#[cold]
#[inline(never)]
fn set_end(subscriber: &Dispatch, id: u64, at: Instant) {
    if let Some(layer) = subscriber.downcast_ref::<RecorderLayer>() {
        layer.spans.open.with(id, |state| state.set_end(at));
    }
}

/// Expects the outer span again when it is dropped.
struct RestoreExpected(Option<ExpectedSpan>);

impl Drop for RestoreExpected {
    fn drop(&mut self) {
        EXPECTED.set(self.0);
    }
}

/// A started span. If it is dropped before it is inserted, it is discarded.
struct PreparedSpan<'a> {
    tracer: &'a RecorderTracer,
    context: Context,
    recording: Recording,
}

impl PreparedSpan<'_> {
    /// Inserts the span into the open spans of the layer.
    #[inline]
    fn insert(&mut self, layer: &RecorderLayer, id: u64) {
        let recording = mem::replace(&mut self.recording, Recording::Unsampled);
        let open = &layer.spans.open;
        if let Some(stale) = open.insert_new(id, &mut self.context, recording, false) {
            self.tracer.discard_span(stale);
        }
    }

    #[cold]
    fn discard(&mut self) {
        let recording = mem::replace(&mut self.recording, Recording::Unsampled);
        let context = mem::take(&mut self.context);
        self.tracer.discard_span(SpanState::new(context, recording));
    }
}

impl Drop for PreparedSpan<'_> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.recording, Recording::Unsampled) {
            self.discard();
        }
    }
}
