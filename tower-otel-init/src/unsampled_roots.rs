//! The spans that are not sampled and have no parent in this process. The recorder may keep their traces.

use std::collections::{HashMap, VecDeque};

use opentelemetry::trace::TraceId;

/// The maximum number of traces in memory. A trace that is not kept stays until it is the oldest one.
const MAX_TRACES: usize = 256;

/// Counts the local roots of each trace. A trace has several local roots if another process calls this process again.
#[derive(Debug, Default)]
pub(crate) struct UnsampledRoots {
    started: HashMap<TraceId, usize>,
    /// From the oldest to the newest.
    order: VecDeque<TraceId>,
}

impl UnsampledRoots {
    /// Counts a local root that starts. Removes the oldest trace if there are too many.
    pub(crate) fn start(&mut self, trace: TraceId) {
        let roots = self.started.entry(trace).or_default();
        *roots += 1;
        if *roots > 1 {
            return;
        }
        self.order.push_back(trace);
        if self.order.len() > MAX_TRACES
            && let Some(oldest) = self.order.pop_front()
        {
            self.started.remove(&oldest);
        }
    }

    /// Counts a local root of a kept trace that has ended. Returns whether no other one is expected.
    pub(crate) fn end(&mut self, trace: TraceId) -> bool {
        let Some(roots) = self.started.get_mut(&trace) else {
            return true;
        };
        *roots = roots.saturating_sub(1);
        if *roots > 0 {
            return false;
        }
        self.started.remove(&trace);
        self.order.retain(|started| *started != trace);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_local_roots_of_a_trace_is_known() {
        let mut roots = UnsampledRoots::default();
        let trace = TraceId::from(1);
        roots.start(trace);
        roots.start(trace);
        assert!(!roots.end(trace));
        assert!(roots.end(trace));
    }

    #[test]
    fn a_trace_that_ends_and_starts_again_is_as_new() {
        let mut roots = UnsampledRoots::default();
        let trace = TraceId::from(1);
        roots.start(trace);
        assert!(roots.end(trace));
        for other in 2..=256 {
            roots.start(TraceId::from(other));
        }
        roots.start(trace);
        roots.start(TraceId::from(300));
        roots.start(trace);
        assert!(!roots.end(trace));
        assert!(roots.end(trace));
    }

    #[test]
    fn a_trace_that_newer_ones_have_replaced_is_not_waited_for() {
        let mut roots = UnsampledRoots::default();
        let trace = |number: usize| TraceId::from(number as u128);
        for number in 0..=MAX_TRACES {
            roots.start(trace(number));
            roots.start(trace(number));
        }
        assert!(roots.end(trace(0)));
        assert!(!roots.end(trace(1)));
        assert_eq!(
            (roots.started.len(), roots.order.len()),
            (MAX_TRACES, MAX_TRACES)
        );
    }
}
