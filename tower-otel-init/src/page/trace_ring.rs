//! The latest traces, limited in number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use opentelemetry::trace::TraceId;
use serde_json::{Value, json};

use crate::page::page_trace::PageTrace;
use crate::page::span_head::SpanHead;
use crate::page::span_source::SpanSource;
use crate::page::trace_changes::TraceChanges;
use crate::page::trace_index::TraceIndex;

pub(crate) const MAX_TRACES: usize = 500;
pub(crate) const MAX_BYTES: usize = 32 << 20;

/// The number of bytes of messages after which no further trace is copied, because the export thread waits for the copy.
const MAX_COPIED: usize = 256 << 10;

/// Traces in the order of their first span. Traces with an error and slow traces are removed last. They use at most half of the
/// room.
///
/// A new trace takes the place and the buffers of the trace that it replaces. So few spans allocate.
#[derive(Debug, Default)]
pub(crate) struct TraceRing {
    index: TraceIndex,
    places: Vec<PageTrace>,
    /// The places without a trace.
    free: Vec<usize>,
    /// The number of traces since the start.
    started: u64,
    /// The number of changes since the start.
    version: u64,
    ordinary: Group,
    /// The traces with an error and the slow traces.
    notable: Group,
}

/// Numbers and places of traces, and their bytes.
#[derive(Debug, Default)]
struct Group {
    /// Sorted by number. A new trace has the highest number.
    order: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Group {
    fn add(&mut self, trace: &PageTrace, place: usize) {
        let position = match self.order.back() {
            Some((last, _)) if *last > trace.number => {
                let is_before = |(number, _): &(u64, usize)| *number < trace.number;
                self.order.partition_point(is_before)
            }
            _ => self.order.len(),
        };
        self.order.insert(position, (trace.number, place));
        self.bytes += trace.bytes();
    }

    fn remove(&mut self, trace: &PageTrace, bytes: usize) {
        let number = |entry: &(u64, usize)| entry.0;
        // Usually the oldest one.
        if self.order.front().map(number) == Some(trace.number) {
            self.order.pop_front();
        } else if let Ok(position) = self.order.binary_search_by_key(&trace.number, number) {
            self.order.remove(position);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Returns the place of the oldest trace except for the one with the number `except`.
    fn oldest(&self, except: u64) -> Option<usize> {
        let mut others = self.order.iter().filter(|(number, _)| *number != except);
        others.next().map(|(_, place)| *place)
    }
}

impl TraceRing {
    /// Adds the OTLP message of a span, and removes traces until the limits hold. A message without valid ids is ignored.
    pub(crate) fn add(&mut self, message: &[u8], source: &Arc<SpanSource>) {
        let Some(head) = SpanHead::read(message) else {
            return;
        };
        self.version += 1;
        let number = match self.place(head.trace) {
            Some(place) => self.add_to_trace(place, message, head, source),
            None => Some(self.start_trace(message, head, source)),
        };
        if let Some(number) = number {
            self.make_room(number);
        }
    }

    /// Returns the place of a trace.
    fn place(&self, id: TraceId) -> Option<usize> {
        let is_trace = |place: usize| self.places.get(place).map(PageTrace::id) == Some(id);
        self.index.get(id, is_trace)
    }

    /// Adds a span to the trace at a place. Returns the number of the trace.
    fn add_to_trace(
        &mut self,
        place: usize,
        message: &[u8],
        head: SpanHead,
        source: &Arc<SpanSource>,
    ) -> Option<u64> {
        let trace = self.places.get_mut(place)?;
        let (was_notable, bytes) = (trace.is_notable(), trace.bytes());
        trace.add(message, head, source);
        trace.version = self.version;
        let (from, to) = match was_notable {
            true => (&mut self.notable, &mut self.ordinary),
            false => (&mut self.ordinary, &mut self.notable),
        };
        if was_notable == trace.is_notable() {
            from.bytes = (from.bytes + trace.bytes()).saturating_sub(bytes);
        } else {
            from.remove(trace, bytes);
            to.add(trace, place);
        }
        Some(trace.number)
    }

    /// Starts a trace. Returns its number.
    fn start_trace(&mut self, message: &[u8], head: SpanHead, source: &Arc<SpanSource>) -> u64 {
        self.started += 1;
        let number = self.started;
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(trace) => trace.restart(number, message, head, source),
            None => {
                let trace = PageTrace::new(number, message, head, source);
                self.places.push(trace);
            }
        }
        if let Some(trace) = self.places.get_mut(place) {
            trace.version = self.version;
            let group = match trace.is_notable() {
                true => &mut self.notable,
                false => &mut self.ordinary,
            };
            group.add(trace, place);
        }
        self.index.insert(head.trace, place);
        number
    }

    fn len(&self) -> usize {
        self.ordinary.order.len() + self.notable.order.len()
    }

    const fn bytes(&self) -> usize {
        self.ordinary.bytes + self.notable.bytes
    }

    /// Removes traces until the limits hold, but not the trace with this number.
    fn make_room(&mut self, number: u64) {
        while self.len() > MAX_TRACES || self.bytes() > MAX_BYTES {
            let is_too_notable =
                self.notable.order.len() * 2 > MAX_TRACES || self.notable.bytes * 2 > MAX_BYTES;
            let (first, second) = match is_too_notable {
                true => (&self.notable, &self.ordinary),
                false => (&self.ordinary, &self.notable),
            };
            let oldest = first.oldest(number).or_else(|| second.oldest(number));
            let Some(place) = oldest else { break };
            let Some(trace) = self.places.get_mut(place) else {
                break;
            };
            self.index.remove(trace.id(), place);
            let group = match trace.is_notable() {
                true => &mut self.notable,
                false => &mut self.ordinary,
            };
            group.remove(trace, trace.bytes());
            // One place keeps small buffers for the next trace. They do not count, so others are freed.
            match self.free.is_empty() {
                true => trace.clear(),
                false => trace.free(),
            }
            self.free.push(place);
            self.version += 1;
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the stored traces in any order.
    fn traces(&self) -> impl Iterator<Item = &PageTrace> {
        let places = self.ordinary.order.iter().chain(&self.notable.order);
        places.filter_map(|(_, place)| self.places.get(*place))
    }

    /// Returns the first traces that changed after a version, up to [`MAX_COPIED`], and the numbers of all traces.
    pub(crate) fn changes_since(&self, version: u64) -> TraceChanges {
        let changed = self.traces().filter(|trace| trace.version > version);
        let mut changed: Vec<_> = changed.collect();
        changed.sort_unstable_by_key(|trace| trace.version);
        let mut rest = changed.into_iter();
        let (mut entries, mut copied) = (Vec::new(), 0);
        while copied < MAX_COPIED
            && let Some(trace) = rest.next()
        {
            let entry = trace.entry();
            copied += entry.title.end();
            entries.push(entry);
        }
        TraceChanges {
            version: rest.next().map_or(self.version, |next| next.version - 1),
            changed: entries,
            numbers: self.traces().map(|trace| trace.number).collect(),
        }
    }

    pub(crate) fn trace(&self, id: TraceId) -> Option<&PageTrace> {
        self.places.get(self.place(id)?)
    }

    /// Returns the ids of all traces.
    pub(crate) fn ids(&self) -> Vec<TraceId> {
        self.traces().map(PageTrace::id).collect()
    }

    /// Returns the number of stored traces, of all traces since the start, and of stored bytes.
    pub(crate) fn usage(&self) -> Value {
        json!({ "traces": self.len(), "seen": self.started, "bytes": self.bytes() })
    }
}

#[cfg(test)]
#[path = "trace_ring_tests.rs"]
mod tests;
