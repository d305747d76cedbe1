//! The spans of one trace.

use opentelemetry::trace::TraceId;

use crate::page::span_head::SpanHead;
use crate::page::stored_span::StoredSpan;
use crate::page::trace_changes::TraceEntry;

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
    spans: Vec<StoredSpan>,
    /// The index of the span that is closest to the root so far.
    title: usize,
    head: SpanHead,
    errors: usize,
    dropped_spans: u64,
    bytes: usize,
}

impl PageTrace {
    pub(crate) fn new(number: u64, span: StoredSpan, head: SpanHead) -> Self {
        Self {
            number,
            version: 0,
            bytes: TRACE_OVERHEAD + span.bytes(),
            spans: vec![span],
            title: 0,
            head,
            errors: usize::from(head.is_failed),
            dropped_spans: 0,
        }
    }

    /// Adds a span. If the trace is full, the span is counted as dropped.
    pub(crate) fn add(&mut self, span: StoredSpan, head: SpanHead) {
        self.errors += usize::from(head.is_failed);
        let is_title = head.precedes(&self.head);
        let reserved = if is_title { 0 } else { RESERVED_BYTES };
        let bytes = self.bytes + span.bytes();
        if bytes > MAX_TRACE_BYTES - reserved {
            self.dropped_spans += 1;
            return;
        }
        if is_title {
            (self.title, self.head) = (self.spans.len(), head);
        }
        self.bytes = bytes;
        self.spans.push(span);
    }

    /// Returns whether a span failed or the root is slow. Such traces are removed last.
    pub(crate) const fn is_notable(&self) -> bool {
        self.errors > 0 || self.head.duration >= SLOW
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn id(&self) -> TraceId {
        self.head.trace
    }

    /// Returns the entry for the list of traces. It shares the span.
    pub(crate) fn entry(&self) -> TraceEntry {
        TraceEntry {
            number: self.number,
            title: self.spans.get(self.title).cloned(),
            head: self.head,
            errors: self.errors,
            spans: self.spans.len(),
        }
    }

    /// Returns the spans, which share their messages.
    pub(crate) fn spans(&self) -> Vec<StoredSpan> {
        self.spans.clone()
    }

    pub(crate) const fn dropped_spans(&self) -> u64 {
        self.dropped_spans
    }
}
