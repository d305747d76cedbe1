//! The held traces of the spans in contexts, by span id.

use std::sync::{Arc, OnceLock};

use opentelemetry::trace::SpanContext;

use super::{
    held_trace::HeldTrace,
    span_table::{PLACES, Place, SpanTable},
};
use crate::shared::RecordBox;

/// The number of buckets of the table. It has places for 4096 spans, in about 100 KiB.
const BUCKETS: usize = 512;

/// The number of places of a bucket for spans of tracers.
const RESERVED: usize = 2;

/// The table of all recorders in this process. Created when the first span is held.
static TRACES: OnceLock<SpanTable<HeldTrace<RecordBox>>> = OnceLock::new();

/// A held span whose trace is found by its id, until it is dropped. Owned by the span in a context, so that children find it
/// as long as they can start below it.
///
/// A span of another SDK is not listed, so its children are not held.
#[derive(Debug)]
pub(crate) struct ListedSpan {
    _place: Place<'static, HeldTrace<RecordBox>>,
}

impl ListedSpan {
    /// Returns `None` if the bucket of the span has no free place. Leaves places for [`with_any_place`](Self::with_any_place).
    #[inline]
    pub(crate) fn new(span: &SpanContext, trace: &Arc<HeldTrace<RecordBox>>) -> Option<Self> {
        Self::with_places(span, trace, PLACES - RESERVED)
    }

    /// Lists a span whose trace cannot be a value of its context.
    #[inline(never)]
    pub(crate) fn with_any_place(
        span: &SpanContext,
        trace: &Arc<HeldTrace<RecordBox>>,
    ) -> Option<Self> {
        Self::with_places(span, trace, PLACES)
    }

    #[inline(always)]
    fn with_places(
        span: &SpanContext,
        trace: &Arc<HeldTrace<RecordBox>>,
        places: usize,
    ) -> Option<Self> {
        let traces = TRACES.get_or_init(|| SpanTable::new(BUCKETS));
        let place = traces.insert(span.span_id(), trace, places)?;
        Some(Self { _place: place })
    }
}

/// Returns the result of `read` for the trace of a listed span. `read` must not run code of the application.
#[inline]
pub(super) fn read_trace<R>(
    span: &SpanContext,
    read: impl Fn(&Arc<HeldTrace<RecordBox>>) -> R,
) -> Option<R> {
    let read = |trace: &Arc<HeldTrace<RecordBox>>| {
        let has_id = trace.has_id(span.trace_id());
        has_id.then(|| read(trace))
    };
    TRACES.get()?.find(span.span_id(), read)
}
