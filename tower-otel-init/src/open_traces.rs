//! Traces with spans that have not ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

use crate::unsampled_roots::UnsampledRoots;

/// The maximum number of traces in memory. A trace with a span that never ends stays in memory until it is the oldest trace.
const MAX_TRACES: usize = 256;
/// The maximum number of spans per trace. Further spans are not printed.
const MAX_SPANS: usize = 1000;

/// The wait for the other spans of a trace after the end of its root.
pub(crate) const AFTER_ROOT: Duration = Duration::from_secs(2);
/// The wait after the last ended span of a trace whose root has not ended. The root may be in another process.
const AFTER_SPAN: Duration = Duration::from_secs(30);

/// Collects the spans of each trace until the last one ends.
///
/// A counted span may never arrive: a span that gets another parent is counted twice, and a span may be dropped before its
/// export. The other spans of such a trace become [overdue](Self::take_overdue).
#[derive(Debug, Default)]
pub(crate) struct OpenTraces {
    traces: HashMap<TraceId, OpenTrace>,
    /// The number of traces since the start.
    started: u64,
    /// The ended spans of traces that newer traces have replaced.
    replaced: Vec<Vec<SpanData>>,
    unsampled: UnsampledRoots,
}

#[derive(Debug, Default)]
struct OpenTrace {
    number: u64,
    open_spans: usize,
    ended: Vec<SpanData>,
    has_root: bool,
    /// The time at which the ended spans become overdue.
    due: Option<Instant>,
}

impl OpenTraces {
    /// Counts a span that starts. Removes the oldest trace if there are too many.
    pub(crate) fn start(&mut self, trace: TraceId) {
        if self.traces.len() >= MAX_TRACES && !self.traces.contains_key(&trace) {
            let oldest = self.traces.iter().min_by_key(|(_, trace)| trace.number);
            let oldest = oldest.map(|(id, _)| *id);
            let oldest = oldest.and_then(|id| self.traces.remove(&id));
            let spans = oldest.map(|trace| trace.ended).unwrap_or_default();
            if !spans.is_empty() {
                self.replaced.push(spans);
            }
        }
        self.started += 1;
        let number = self.started;
        let trace = self.traces.entry(trace).or_insert_with(|| OpenTrace {
            number,
            ..OpenTrace::default()
        });
        trace.open_spans += 1;
    }

    /// Counts a span that starts without a parent in this process and is not sampled.
    pub(crate) fn start_unsampled_root(&mut self, trace: TraceId) {
        self.unsampled.start(trace);
    }

    /// Adds a span that has ended. Returns the spans of each trace to print now.
    pub(crate) fn end(&mut self, span: SpanData, now: Instant) -> Vec<Vec<SpanData>> {
        let mut done = std::mem::take(&mut self.replaced);
        let id = span.span_context.trace_id();
        let trace = self.traces.entry(id).or_default();
        trace.open_spans = trace.open_spans.saturating_sub(1);
        let is_root = span.parent_span_id == SpanId::INVALID;
        trace.has_root |= is_root;
        // A keep rule selected the trace. Its spans were not counted, and each local root arrives after its children.
        let is_kept = !span.span_context.is_sampled();
        let is_last = if is_kept {
            let is_local_root = is_root || span.parent_span_is_remote;
            is_local_root && (self.unsampled.end(id) || is_root)
        } else {
            trace.open_spans == 0
        };
        let wait = if trace.has_root || is_kept {
            AFTER_ROOT
        } else {
            AFTER_SPAN
        };
        // Other requests of the same kept trace do not delay it.
        if !is_kept || trace.due.is_none() {
            trace.due = now.checked_add(wait);
        }
        if trace.ended.len() < MAX_SPANS {
            trace.ended.push(span);
        }
        if is_last {
            done.extend(self.traces.remove(&id).map(|trace| trace.ended));
        }
        done
    }

    /// Returns the ended spans of each trace that has waited too long for other spans. The other spans are printed when they end.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Vec<Vec<SpanData>> {
        let is_overdue = |trace: &mut OpenTrace| trace.due.is_some_and(|due| due <= now);
        let overdue = self.traces.extract_if(|_, trace| is_overdue(trace));
        overdue.map(|(_, trace)| trace.ended).collect()
    }

    /// Returns the ended spans of all traces.
    pub(crate) fn take_all(&mut self) -> Vec<Vec<SpanData>> {
        let mut all = std::mem::take(&mut self.replaced);
        let traces = std::mem::take(&mut self.traces);
        let ended = traces.into_values().map(|trace| trace.ended);
        all.extend(ended.filter(|spans| !spans.is_empty()));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::trace::{SpanContext, SpanKind, Status};
    use opentelemetry::{InstrumentationScope, TraceFlags, trace::TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span(trace: TraceId) -> SpanData {
        let context = SpanContext::new(
            trace,
            SpanId::from(1),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        SpanData {
            span_context: context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn a_span_that_never_ends_does_not_keep_later_traces_from_being_printed() {
        let mut open = OpenTraces::default();
        let id = |number: usize| TraceId::from(number as u128);
        // One of two spans of the first trace ends. Each other trace has one span, which does not end.
        open.start(id(1));
        for number in 1..=MAX_TRACES {
            open.start(id(number));
        }
        assert_eq!(open.end(span(id(1)), Instant::now()).len(), 0);
        open.start(id(1000));
        let printed = open.end(span(id(1000)), Instant::now());
        let traces: Vec<_> = printed
            .iter()
            .flatten()
            .map(|span| span.span_context.trace_id())
            .collect();
        assert_eq!(traces, [id(1), id(1000)]);
        assert_eq!(open.take_all().len(), 0);
    }

    #[test]
    fn a_kept_trace_is_printed_as_one_with_its_local_root() {
        for (parent, is_remote) in [(0, false), (9, true)] {
            let mut open = OpenTraces::default();
            let now = Instant::now();
            assert_eq!(open.end(kept(7, false), now).len(), 0);
            let printed = open.end(kept(parent, is_remote), now);
            assert_eq!(printed.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
            assert_eq!(open.take_all().len(), 0);
        }
    }

    fn kept(parent: u64, is_remote: bool) -> SpanData {
        let span = span(TraceId::from(1));
        let ids = &span.span_context;
        let context = SpanContext::new(
            ids.trace_id(),
            ids.span_id(),
            TraceFlags::NOT_SAMPLED,
            false,
            TraceState::NONE,
        );
        SpanData {
            span_context: context,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: is_remote,
            ..span
        }
    }

    #[test]
    fn a_kept_trace_that_comes_back_to_this_process_is_printed_as_one() {
        let mut open = OpenTraces::default();
        let now = Instant::now();
        let id = TraceId::from(1);
        open.start_unsampled_root(id);
        open.start_unsampled_root(id);
        assert_eq!(open.end(kept(7, true), now).len(), 0);
        assert_eq!(open.end(kept(9, false), now).len(), 0);
        let printed = open.end(kept(9, true), now);
        assert_eq!(printed.iter().map(Vec::len).collect::<Vec<_>>(), [3]);
        assert_eq!(open.take_all().len(), 0);
    }

    #[test]
    fn a_kept_trace_is_not_printed_later_because_another_local_root_is_discarded() {
        let mut open = OpenTraces::default();
        let now = Instant::now();
        let id = TraceId::from(1);
        open.start_unsampled_root(id);
        open.start_unsampled_root(id);
        assert_eq!(open.end(kept(9, true), now).len(), 0);
        assert_eq!(open.take_overdue(now + AFTER_ROOT).len(), 1);
        open.start_unsampled_root(id);
        open.start_unsampled_root(id);
        // Without a parent anywhere, it is the root.
        assert_eq!(open.end(kept(0, false), now).len(), 1);
    }

    #[test]
    fn later_requests_of_a_kept_trace_do_not_delay_its_print() {
        let mut open = OpenTraces::default();
        let start = Instant::now();
        for _ in 0..3 {
            open.start_unsampled_root(TraceId::from(1));
        }
        assert_eq!(open.end(kept(9, true), start).len(), 0);
        assert_eq!(open.end(kept(9, true), start + AFTER_ROOT / 2).len(), 0);
        assert_eq!(open.take_overdue(start + AFTER_ROOT).len(), 1);
    }

    #[test]
    fn a_trace_with_a_span_that_is_counted_and_never_ends_is_printed_after_its_root() {
        let mut open = OpenTraces::default();
        let now = Instant::now();
        let id = TraceId::from(1);
        open.start(id);
        open.start(id);
        assert_eq!(open.end(span(id), now).len(), 0);
        assert_eq!(open.take_overdue(now).len(), 0);
        let overdue = open.take_overdue(now + AFTER_ROOT);
        assert_eq!(overdue.iter().map(Vec::len).collect::<Vec<_>>(), [1]);
        assert_eq!(open.take_overdue(now + AFTER_ROOT).len(), 0);
        // A span that ends later is printed immediately.
        assert_eq!(open.end(span(id), now + AFTER_ROOT).len(), 1);
        assert_eq!(open.take_all().len(), 0);
    }

    #[test]
    fn a_trace_whose_root_is_dropped_is_printed_when_no_span_ends_any_more() {
        let mut open = OpenTraces::default();
        let now = Instant::now();
        let id = TraceId::from(1);
        open.start(id);
        open.start(id);
        let child = SpanData {
            parent_span_id: SpanId::from(7),
            ..span(id)
        };
        assert_eq!(open.end(child, now).len(), 0);
        assert_eq!(open.take_overdue(now + AFTER_ROOT).len(), 0);
        assert_eq!(open.take_overdue(now + AFTER_SPAN).len(), 1);
    }
}
