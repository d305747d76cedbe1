//! The spans of one trace.

use opentelemetry::trace::TraceId;

use crate::page::span_head::SpanHead;
use crate::page::stored_span::StoredSpan;
use crate::page::trace_changes::TraceEntry;

/// The most bytes of one trace. Further spans are counted.
pub(crate) const MAX_TRACE_BYTES: usize = 4 << 20;

/// The part of them that only spans use which are closer to the root than all before, so that the list shows the root.
const RESERVED_BYTES: usize = 256 << 10;

/// A trace from this duration on is slow: as long as the default of `TRACES_KEEP`, in nanoseconds.
const SLOW: u64 = 1_000_000_000;

/// What a trace takes beside its spans.
const TRACE_OVERHEAD: usize = 512;

/// A trace on the page.
#[derive(Debug)]
pub(crate) struct PageTrace {
    /// Traces are numbered by the arrival of their first span.
    pub(crate) number: u64,
    /// The version of the list with the last change of this trace.
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

    /// Adds a span, which counts as dropped if the trace is full.
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

    /// Whether a span failed or the root is slow: such traces stay longest.
    pub(crate) const fn is_notable(&self) -> bool {
        self.errors > 0 || self.head.duration >= SLOW
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn id(&self) -> TraceId {
        self.head.trace
    }

    /// Returns what the list of traces shows. The span is not copied.
    pub(crate) fn entry(&self) -> TraceEntry {
        TraceEntry {
            number: self.number,
            title: self.spans.get(self.title).cloned(),
            head: self.head,
            errors: self.errors,
            spans: self.spans.len(),
        }
    }

    /// Returns the spans, which are not copied.
    pub(crate) fn spans(&self) -> Vec<StoredSpan> {
        self.spans.clone()
    }

    pub(crate) const fn dropped_spans(&self) -> u64 {
        self.dropped_spans
    }
}
