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
    static EXPECTED: Cell<ExpectedSpan> = const { Cell::new(ExpectedSpan::NONE) };

    /// The id and the end of the prepared span that this thread is closing.
    static ENDED: Cell<Option<(u64, Instant)>> = const { Cell::new(None) };
}

/// A `tracing` span that a layer will receive or has received.
#[derive(Clone, Copy)]
struct ExpectedSpan {
    /// The number of the layer. Zero if it has received the span, or no span is expected.
    layer: usize,
    /// The address of the metadata of the span. The id of the span when the layer has received it.
    metadata_or_id: u64,
}

impl ExpectedSpan {
    const NONE: Self = Self {
        layer: 0,
        metadata_or_id: 0,
    };

    fn new(layer: &RecorderLayer, metadata: &'static Metadata<'static>) -> Self {
        Self {
            layer: layer.number(),
            metadata_or_id: ptr::from_ref(metadata).addr() as u64,
        }
    }
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
    #[inline(always)]
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
        let write = |record: &mut SpanRecord| {
            record.origin = Some(origin);
            write(record);
        };
        // The same as `open_any`, for a frequent kind of parent.
        if let Some(ids) = self.tracer.sampled_child(&start) {
            let (context, span) = self.tracer.start_child(start, ids, write);
            return Some(self.receive(metadata, context, Recording::Sampled(span), create));
        }
        self.open_any(metadata, start, sampler_input, write, create)
    }

    /// Opens a span with any parent.
    #[inline(never)]
    fn open_any<'n>(
        &self,
        metadata: &'static Metadata<'static>,
        start: SpanStart<'_>,
        sampler_input: impl FnOnce() -> (Cow<'n, str>, Vec<KeyValue>),
        write: impl FnOnce(&mut SpanRecord),
        create: impl FnOnce() -> Span,
    ) -> Option<(Span, Option<(Context, bool)>)> {
        let started = self.tracer.start_any(start, sampler_input, write);
        let context = started.context?;
        let is_sampled = context.span().span_context().is_sampled();
        let recording = match started.span {
            span if !span.is_some() => Recording::Unsampled,
            span if is_sampled => Recording::Sampled(span),
            span => Recording::Held(span),
        };
        Some(self.receive(metadata, context, recording, create))
    }

    /// Returns whether [`open`](Self::open) can start a span on this thread: the layer is [alone](Self::alone) and records such
    /// spans, and the thread is not destroying its thread-locals.
    #[doc(hidden)]
    #[inline(always)]
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
        let outer = ENDED.get();
        ENDED.set(Some((id, at)));
        *span = Span::none();
        let is_open = ENDED.take().is_some();
        if outer.is_some() {
            ENDED.set(outer);
        }
        if is_open {
            set_end(&subscriber, id, at);
        }
    }

    /// Creates the `tracing` span of a started span. If this layer has received it, inserts the started span into the open spans.
    #[inline(always)]
    fn receive(
        &self,
        metadata: &'static Metadata<'static>,
        context: Context,
        recording: Recording,
        create: impl FnOnce() -> Span,
    ) -> (Span, Option<(Context, bool)>) {
        let is_held = matches!(recording, Recording::Held(_));
        let prepared = PreparedSpan {
            tracer: &self.tracer,
            context,
            recording,
        };
        // Another layer may handle a request while it receives a new span.
        let outer = EXPECTED.replace(ExpectedSpan::new(self, metadata));
        let restore = RestoreExpected(outer);
        let span = create();
        let expected = EXPECTED.get();
        drop(restore);
        if expected.layer != 0 {
            return (span, None);
        }
        let context = prepared.context.clone();
        prepared.insert(self, expected.metadata_or_id);
        (span, Some((context, is_held)))
    }
}

/// Returns whether a new `tracing` span was expected. Its state is inserted when it is created.
#[inline(always)]
pub(super) fn is_expected(
    layer: &RecorderLayer,
    metadata: &'static Metadata<'static>,
    id: &Id,
) -> bool {
    if !layer.is_alone {
        return false;
    }
    let expected = ExpectedSpan::new(layer, metadata);
    let current = EXPECTED.get();
    let is_expected =
        current.layer == expected.layer && current.metadata_or_id == expected.metadata_or_id;
    if is_expected {
        EXPECTED.set(ExpectedSpan {
            layer: 0,
            metadata_or_id: id.into_u64(),
        });
    }
    is_expected
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
struct RestoreExpected(ExpectedSpan);

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
    #[inline(always)]
    fn insert(mut self, layer: &RecorderLayer, id: u64) {
        let recording = mem::replace(&mut self.recording, Recording::Unsampled);
        let mut context = mem::take(&mut self.context);
        let open = &layer.spans.open;
        if let Some(stale) = open.insert_new(id, &mut context, recording, false) {
            self.tracer.discard_span(stale);
        }
        // Nothing is left to drop.
        mem::forget(self);
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
