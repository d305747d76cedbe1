//! The latest traces, within a number and a number of bytes.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

use crate::page::page_trace::PageTrace;
use crate::page::span_json::span_json;
use crate::page::trace_title::TraceTitle;

pub(crate) const MAX_TRACES: usize = 500;
pub(crate) const MAX_BYTES: usize = 32 << 20;

/// Traces in the order of their first span. Those with an error and slow ones stay longest, in at most half of the place.
#[derive(Debug, Default)]
pub(crate) struct TraceRing {
    traces: HashMap<TraceId, PageTrace>,
    /// The number of traces so far.
    started: u64,
    /// The number of changes so far.
    version: u64,
    bytes: usize,
    notable: Usage,
    /// The traces that are not notable, and those that are, by number.
    order: BTreeMap<u64, TraceId>,
    notable_order: BTreeMap<u64, TraceId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    traces: usize,
    bytes: usize,
}

/// The spans of a trace.
#[derive(Debug)]
pub(crate) struct TraceSpans {
    pub(crate) spans: Vec<Bytes>,
    pub(crate) dropped: u64,
}

impl TraceRing {
    /// Adds a span, and removes traces until all fit.
    pub(crate) fn add(&mut self, span: &SpanData, service: &str) {
        let id = span.span_context.trace_id();
        let json = span_json(span, service);
        self.version += 1;
        let mut trace = match self.traces.remove(&id) {
            Some(trace) => {
                self.uncount(&trace);
                trace
            }
            None => {
                self.started += 1;
                PageTrace::new(id, self.started, TraceTitle::of(span, service))
            }
        };
        trace.add(span, json, service);
        trace.version = self.version;
        self.make_room(trace.bytes());
        self.count(&trace);
        self.traces.insert(id, trace);
    }

    fn count(&mut self, trace: &PageTrace) {
        self.bytes += trace.bytes();
        self.order_of(trace).insert(trace.number, trace.id);
        if trace.is_notable() {
            self.notable.traces += 1;
            self.notable.bytes += trace.bytes();
        }
    }

    fn uncount(&mut self, trace: &PageTrace) {
        self.bytes = self.bytes.saturating_sub(trace.bytes());
        self.order_of(trace).remove(&trace.number);
        if trace.is_notable() {
            self.notable.traces = self.notable.traces.saturating_sub(1);
            self.notable.bytes = self.notable.bytes.saturating_sub(trace.bytes());
        }
    }

    fn order_of(&mut self, trace: &PageTrace) -> &mut BTreeMap<u64, TraceId> {
        match trace.is_notable() {
            true => &mut self.notable_order,
            false => &mut self.order,
        }
    }

    /// Removes traces until there is room for one more of this size.
    fn make_room(&mut self, bytes: usize) {
        while self.traces.len() >= MAX_TRACES || self.bytes + bytes > MAX_BYTES {
            let too_notable =
                self.notable.traces * 2 > MAX_TRACES || self.notable.bytes * 2 > MAX_BYTES;
            let oldest = |notable: bool| {
                let order = if notable {
                    &self.notable_order
                } else {
                    &self.order
                };
                order.first_key_value().map(|(_, id)| *id)
            };
            let Some(oldest) = oldest(too_notable).or_else(|| oldest(!too_notable)) else {
                break;
            };
            if let Some(trace) = self.traces.remove(&oldest) {
                self.uncount(&trace);
                self.version += 1;
            }
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the traces that were changed after a version, and the numbers of all.
    pub(crate) fn changes_since(&self, version: u64) -> Value {
        let changed = self.traces.values().filter(|trace| trace.version > version);
        json!({
            "changed": changed.map(PageTrace::summary).collect::<Vec<_>>(),
            "numbers": self.traces.values().map(|trace| trace.number).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn spans(&self, id: TraceId) -> Option<TraceSpans> {
        let trace = self.traces.get(&id)?;
        Some(TraceSpans {
            spans: trace.spans(),
            dropped: trace.dropped_spans(),
        })
    }

    /// Returns the numbers and the spans of all traces. The spans are not copied.
    pub(crate) fn all_spans(&self) -> Vec<(u64, Vec<Bytes>)> {
        let traces = self.traces.values();
        traces.map(|trace| (trace.number, trace.spans())).collect()
    }

    /// Returns the numbers of traces now and so far, and of bytes.
    pub(crate) fn usage(&self) -> Value {
        json!({ "traces": self.traces.len(), "seen": self.started, "bytes": self.bytes })
    }
}

#[cfg(test)]
#[path = "trace_ring_tests.rs"]
mod tests;
