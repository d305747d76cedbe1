//! The latest traces, limited in number and bytes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use opentelemetry::trace::TraceId;
use serde_json::{Value, json};

use crate::page::page_trace::PageTrace;
use crate::page::span_head::SpanHead;
use crate::page::stored_span::{SpanSource, StoredSpan};
use crate::page::trace_changes::TraceChanges;

pub(crate) const MAX_TRACES: usize = 500;
pub(crate) const MAX_BYTES: usize = 32 << 20;

/// Traces in the order of their first span. Traces with an error and slow traces are removed last. They use at most half of the
/// room.
#[derive(Debug, Default)]
pub(crate) struct TraceRing {
    traces: HashMap<TraceId, PageTrace>,
    /// The number of traces since the start.
    started: u64,
    /// The number of changes since the start.
    version: u64,
    ordinary: Group,
    /// The traces with an error and the slow traces.
    notable: Group,
}

/// Traces by number, and their bytes.
#[derive(Debug, Default)]
struct Group {
    order: BTreeMap<u64, TraceId>,
    bytes: usize,
}

impl Group {
    fn add(&mut self, trace: &PageTrace) {
        self.order.insert(trace.number, trace.id());
        self.bytes += trace.bytes();
    }

    fn remove(&mut self, trace: &PageTrace, bytes: usize) {
        self.order.remove(&trace.number);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Returns the oldest trace except for the one with the number `except`.
    fn oldest(&self, except: u64) -> Option<TraceId> {
        let mut others = self.order.iter().filter(|(number, _)| **number != except);
        others.next().map(|(_, id)| *id)
    }
}

/// The spans of a trace.
#[derive(Debug)]
pub(crate) struct TraceSpans {
    pub(crate) spans: Vec<StoredSpan>,
    pub(crate) dropped: u64,
}

impl TraceRing {
    /// Adds the OTLP message of a span, and removes traces until the limits hold. A message without valid ids is ignored.
    pub(crate) fn add(&mut self, message: &[u8], source: &Arc<SpanSource>) {
        let Some(head) = SpanHead::read(message) else {
            return;
        };
        let span = StoredSpan::new(message, source);
        self.version += 1;
        let trace = match self.traces.entry(head.trace) {
            Entry::Occupied(entry) => {
                let trace = entry.into_mut();
                let (was_notable, bytes) = (trace.is_notable(), trace.bytes());
                trace.add(span, head);
                if was_notable == trace.is_notable() {
                    let group = match was_notable {
                        true => &mut self.notable,
                        false => &mut self.ordinary,
                    };
                    group.bytes += trace.bytes().saturating_sub(bytes);
                } else {
                    let (from, to) = match was_notable {
                        true => (&mut self.notable, &mut self.ordinary),
                        false => (&mut self.ordinary, &mut self.notable),
                    };
                    from.remove(trace, bytes);
                    to.add(trace);
                }
                trace
            }
            Entry::Vacant(entry) => {
                self.started += 1;
                let trace = entry.insert(PageTrace::new(self.started, span, head));
                let group = match trace.is_notable() {
                    true => &mut self.notable,
                    false => &mut self.ordinary,
                };
                group.add(trace);
                trace
            }
        };
        trace.version = self.version;
        let number = trace.number;
        self.make_room(number);
    }

    const fn bytes(&self) -> usize {
        self.ordinary.bytes + self.notable.bytes
    }

    /// Removes traces until the limits hold, but not the trace with this number.
    fn make_room(&mut self, number: u64) {
        while self.traces.len() > MAX_TRACES || self.bytes() > MAX_BYTES {
            let is_too_notable =
                self.notable.order.len() * 2 > MAX_TRACES || self.notable.bytes * 2 > MAX_BYTES;
            let (first, second) = match is_too_notable {
                true => (&self.notable, &self.ordinary),
                false => (&self.ordinary, &self.notable),
            };
            let oldest = first.oldest(number).or_else(|| second.oldest(number));
            let Some(trace) = oldest.and_then(|id| self.traces.remove(&id)) else {
                break;
            };
            let group = match trace.is_notable() {
                true => &mut self.notable,
                false => &mut self.ordinary,
            };
            group.remove(&trace, trace.bytes());
            self.version += 1;
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the traces that changed after a version, and the numbers of all traces.
    pub(crate) fn changes_since(&self, version: u64) -> TraceChanges {
        let changed = self.traces.values().filter(|trace| trace.version > version);
        TraceChanges {
            changed: changed.map(PageTrace::entry).collect(),
            numbers: self.traces.values().map(|trace| trace.number).collect(),
        }
    }

    pub(crate) fn spans(&self, id: TraceId) -> Option<TraceSpans> {
        let trace = self.traces.get(&id)?;
        Some(TraceSpans {
            spans: trace.spans(),
            dropped: trace.dropped_spans(),
        })
    }

    /// Returns the numbers and the spans of all traces. The spans share their messages.
    pub(crate) fn all_spans(&self) -> Vec<(u64, Vec<StoredSpan>)> {
        let traces = self.traces.values();
        traces.map(|trace| (trace.number, trace.spans())).collect()
    }

    /// Returns the number of stored traces, of all traces since the start, and of stored bytes.
    pub(crate) fn usage(&self) -> Value {
        json!({ "traces": self.traces.len(), "seen": self.started, "bytes": self.bytes() })
    }
}

#[cfg(test)]
#[path = "trace_ring_tests.rs"]
mod tests;
