//! Traces with spans that have not ended.

use std::collections::HashMap;

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;

/// The maximum number of traces in memory. A span that never ends keeps its trace there until it is the oldest.
const MAX_TRACES: usize = 256;
/// The maximum number of spans per trace. Further spans are not printed.
const MAX_SPANS: usize = 1000;

/// Collects the spans of each trace until the last one ends.
#[derive(Debug, Default)]
pub(crate) struct OpenTraces {
    traces: HashMap<TraceId, OpenTrace>,
    /// The number of traces so far.
    started: u64,
    /// Spans of the traces that newer ones have replaced.
    replaced: Vec<Vec<SpanData>>,
}

#[derive(Debug, Default)]
struct OpenTrace {
    number: u64,
    open_spans: usize,
    ended: Vec<SpanData>,
}

impl OpenTraces {
    /// Counts a span that starts. The oldest trace is given up if there are too many.
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

    /// Adds a span that has ended. Returns the spans of each trace to print now.
    pub(crate) fn end(&mut self, span: SpanData) -> Vec<Vec<SpanData>> {
        let mut done = std::mem::take(&mut self.replaced);
        let id = span.span_context.trace_id();
        let trace = self.traces.entry(id).or_default();
        trace.open_spans = trace.open_spans.saturating_sub(1);
        if trace.ended.len() < MAX_SPANS {
            trace.ended.push(span);
        }
        if trace.open_spans == 0 {
            done.extend(self.traces.remove(&id).map(|trace| trace.ended));
        }
        done
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
    use opentelemetry::{InstrumentationScope, SpanId, TraceFlags, trace::TraceState};
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
        // One of two spans of the first trace ends; all others have one span that does not end.
        open.start(id(1));
        for number in 1..=MAX_TRACES {
            open.start(id(number));
        }
        assert_eq!(open.end(span(id(1))).len(), 0);
        open.start(id(1000));
        let printed = open.end(span(id(1000)));
        let traces: Vec<_> = printed
            .iter()
            .flatten()
            .map(|span| span.span_context.trace_id())
            .collect();
        assert_eq!(traces, [id(1), id(1000)]);
        assert_eq!(open.take_all().len(), 0);
    }
}
