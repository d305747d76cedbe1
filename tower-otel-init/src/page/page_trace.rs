//! The spans of one trace.

use bytes::Bytes;
use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

use crate::page::trace_title::{TraceTitle, is_error};

/// The most bytes of one trace. Further spans are counted.
pub(crate) const MAX_TRACE_BYTES: usize = 4 << 20;

/// A trace from this duration on is slow: as long as the default of `TRACES_KEEP`, in microseconds.
const SLOW: f64 = 1e6;

/// What a span and a trace take beside their texts.
const SPAN_OVERHEAD: usize = 2 * size_of::<Bytes>() + 48;
const TRACE_OVERHEAD: usize = 512;

/// A trace on the page.
#[derive(Debug)]
pub(crate) struct PageTrace {
    pub(crate) id: TraceId,
    /// Traces are numbered by the arrival of their first span.
    pub(crate) number: u64,
    /// The version of the list with the last change of this trace.
    pub(crate) version: u64,
    spans: Vec<Bytes>,
    title: TraceTitle,
    errors: usize,
    dropped_spans: u64,
    bytes: usize,
}

impl PageTrace {
    pub(crate) fn new(id: TraceId, number: u64, title: TraceTitle) -> Self {
        let bytes = TRACE_OVERHEAD + title.bytes();
        Self {
            id,
            number,
            version: 0,
            spans: Vec::new(),
            title,
            errors: 0,
            dropped_spans: 0,
            bytes,
        }
    }

    /// Adds a span, which counts as dropped if the trace is full.
    pub(crate) fn add(&mut self, span: &SpanData, json: Bytes, service: &str) {
        self.errors += usize::from(is_error(span));
        if self.title.is_preceded_by(span) {
            let title = TraceTitle::of(span, service);
            self.bytes = self.bytes.saturating_sub(self.title.bytes()) + title.bytes();
            self.title = title;
        }
        let bytes = json.len() + SPAN_OVERHEAD;
        if self.bytes + bytes > MAX_TRACE_BYTES {
            self.dropped_spans += 1;
            return;
        }
        self.bytes += bytes;
        self.spans.push(json);
    }

    /// Whether a span failed or the root is slow: such traces stay longest.
    pub(crate) fn is_notable(&self) -> bool {
        self.errors > 0 || self.title.duration >= SLOW
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what the list of traces shows.
    pub(crate) fn summary(&self) -> Value {
        let mut summary = self.title.texts().clone();
        let rest = json!({
            "number": self.number,
            "id": self.id.to_string(),
            "start": self.title.start(),
            "duration": self.title.duration,
            "errors": self.errors,
            "spans": self.spans.len(),
            "incomplete": self.title.is_inner(),
        });
        if let (Value::Object(summary), Value::Object(rest)) = (&mut summary, rest) {
            summary.extend(rest);
        }
        summary
    }

    /// Returns the spans, which are not copied.
    pub(crate) fn spans(&self) -> Vec<Bytes> {
        self.spans.clone()
    }

    pub(crate) const fn dropped_spans(&self) -> u64 {
        self.dropped_spans
    }
}
