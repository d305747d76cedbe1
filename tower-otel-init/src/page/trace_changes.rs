//! The changes of the list of traces, copied from the ring so that titles are decoded after its lock is released.

use serde_json::{Value, json};

use crate::page::span_head::{Rank, SpanHead};
use crate::page::span_json::micros;
use crate::page::trace_spans::TraceSpans;
use crate::page::trace_title::title;

/// Changed traces, and the numbers of all traces.
#[derive(Debug)]
pub(crate) struct TraceChanges {
    /// The version up to which all changes are included.
    pub(crate) version: u64,
    pub(crate) changed: Vec<TraceEntry>,
    pub(crate) numbers: Vec<u64>,
}

/// A trace in the list, with a copy of its span before it is decoded.
#[derive(Debug)]
pub(crate) struct TraceEntry {
    pub(crate) number: u64,
    pub(crate) title: TraceSpans,
    pub(crate) head: SpanHead,
    pub(crate) errors: usize,
    /// The bits of the first digits of HTTP status codes.
    pub(crate) status_classes: u8,
    pub(crate) spans: usize,
}

impl TraceChanges {
    pub(crate) fn json(&self) -> Value {
        json!({
            "changed": self.changed.iter().map(TraceEntry::json).collect::<Vec<_>>(),
            "numbers": self.numbers,
        })
    }
}

impl TraceEntry {
    fn json(&self) -> Value {
        let title = self.title.span(0).and_then(|span| {
            let decoded = span.decode()?;
            Some(title(&decoded, span.source, self.head.is_failed))
        });
        let mut entry = title.unwrap_or_default();
        let mut add = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        add("number", self.number.into());
        add("id", self.head.trace.to_string().into());
        add("start", micros(self.head.start).into());
        add("duration", (self.head.duration as f64 / 1e3).into());
        add("errors", self.errors.into());
        let classes = (1..=5).filter(|class| self.status_classes >> class & 1 == 1);
        let digits = classes.filter_map(|class| char::from_digit(class, 10));
        add("classes", digits.collect::<String>().into());
        add("spans", self.spans.into());
        // The parent is in this process. It has not ended, or it was not recorded.
        add("incomplete", (self.head.rank == Rank::Inner).into());
        entry.into()
    }
}
