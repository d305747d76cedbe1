//! One trace of the page.

use std::sync::Arc;

use opentelemetry::trace::TraceId;

use crate::page::span_head::SpanHead;
use crate::page::span_source::SpanSource;
use crate::page::trace_changes::TraceEntry;
use crate::page::trace_spans::TraceSpans;

/// The maximum number of bytes of one trace. Further spans are only counted.
pub(crate) const MAX_TRACE_BYTES: usize = 4 << 20;

/// The bytes that are reserved for spans that are closer to the root than all earlier spans, so that the list shows the root.
const RESERVED_BYTES: usize = 256 << 10;

/// The minimum duration of a slow trace in nanoseconds, equal to the default of `TRACES_KEEP`.
const SLOW: u64 = 1_000_000_000;

/// The bytes of a trace in addition to its spans.
const TRACE_OVERHEAD: usize = 512;

/// A trace on the page.
#[derive(Debug)]
pub(crate) struct PageTrace {
    /// The number of the trace, in the order in which the first spans of traces arrive.
    pub(crate) number: u64,
    /// The version of the list of traces at the last change of this trace.
    pub(crate) version: u64,
    head: SpanHead,
    /// The position of the span that is closest to the root so far.
    title: usize,
    errors: usize,
    /// The bits of the first digits of HTTP status codes.
    status_classes: u8,
    dropped_spans: u64,
    spans: TraceSpans,
}

impl PageTrace {
    /// Starts a trace with its first span.
    pub(crate) fn new(
        number: u64,
        message: &[u8],
        head: SpanHead,
        source: &Arc<SpanSource>,
    ) -> Self {
        let mut trace = Self {
            number,
            version: 0,
            head,
            title: 0,
            errors: 0,
            status_classes: 0,
            dropped_spans: 0,
            spans: TraceSpans::default(),
        };
        trace.restart(number, message, head, source);
        trace
    }

    /// Starts another trace, which reuses the buffers of this one.
    pub(crate) fn restart(
        &mut self,
        number: u64,
        message: &[u8],
        head: SpanHead,
        source: &Arc<SpanSource>,
    ) {
        self.number = number;
        self.head = head;
        self.title = 0;
        self.errors = usize::from(head.is_failed);
        self.status_classes = 1 << head.status_class;
        self.dropped_spans = 0;
        self.spans.restart(message, source);
    }

    /// Adds a span. If the trace is full, the span is counted as dropped.
    pub(crate) fn add(&mut self, message: &[u8], head: SpanHead, source: &Arc<SpanSource>) {
        self.errors += usize::from(head.is_failed);
        self.status_classes |= 1 << head.status_class;
        let is_title = head.precedes(&self.head);
        let reserved = if is_title { 0 } else { RESERVED_BYTES };
        let before = TRACE_OVERHEAD + self.spans.bytes();
        let room = (MAX_TRACE_BYTES - reserved).saturating_sub(before);
        if TraceSpans::max_bytes_of(message, source) > room {
            self.dropped_spans += 1;
            return;
        }
        if is_title {
            (self.title, self.head) = (self.spans.end(), head);
        }
        let max_capacity = self.spans.end() + room;
        self.spans.push(message, source, max_capacity);
    }

    /// Returns whether a span failed or the root is slow. Such traces are removed last.
    pub(crate) const fn is_notable(&self) -> bool {
        self.errors > 0 || self.head.duration >= SLOW
    }

    /// Returns the bytes that the trace uses, with the free capacity of its buffer.
    pub(crate) const fn bytes(&self) -> usize {
        TRACE_OVERHEAD + self.spans.allocated_bytes()
    }

    pub(crate) const fn id(&self) -> TraceId {
        self.head.trace
    }

    /// Returns the entry for the list of traces.
    pub(crate) fn entry(&self) -> TraceEntry {
        TraceEntry {
            number: self.number,
            title: self.spans.copy(self.title),
            head: self.head,
            errors: self.errors,
            status_classes: self.status_classes,
            spans: self.spans.len(),
        }
    }

    pub(crate) const fn spans(&self) -> &TraceSpans {
        &self.spans
    }

    pub(crate) const fn dropped_spans(&self) -> u64 {
        self.dropped_spans
    }

    /// Removes the spans. Keeps small buffers.
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
    }

    /// Removes the spans and frees the buffers.
    pub(crate) fn free(&mut self) {
        self.spans = TraceSpans::default();
    }
}
