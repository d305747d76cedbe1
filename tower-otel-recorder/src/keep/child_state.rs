//! Whether the children of a held trace are recorded.

use opentelemetry::SpanId;

use super::excluded_spans::ExcludedSpans;
use crate::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Children are recorded.
const RECORDED: u8 = 0;
/// Children are not recorded until the local root ends, to free memory.
const REFUSED: u8 = 1;
/// The local root has ended, and the trace is not kept.
const DISCARDED: u8 = 2;
/// Children are not recorded any more, because too many spans are excluded.
const CLOSED: u8 = 3;

/// The spans that do not belong to a held trace, and whether new children are recorded.
#[derive(Debug)]
pub(super) struct ChildState {
    /// One of the constants above.
    state: AtomicU8,
    excluded: ExcludedSpans,
}

/// What happens to a child that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewChild {
    Recorded,
    Refused,
    /// The trace is not kept.
    Discarded,
}

impl ChildState {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU8::new(RECORDED),
            excluded: ExcludedSpans::new(),
        }
    }

    /// Prepares the state for the next trace.
    pub(super) fn restart(&mut self) {
        self.state.store(RECORDED, Relaxed);
        self.excluded.clear();
    }

    pub(super) fn new_child(&self) -> NewChild {
        match self.state.load(Relaxed) {
            RECORDED => NewChild::Recorded,
            DISCARDED => NewChild::Discarded,
            _ => NewChild::Refused,
        }
    }

    /// Excludes a span. If too many are excluded, no more children are recorded.
    #[cold]
    pub(super) fn exclude(&self, span: SpanId) {
        if matches!(self.state.load(Relaxed), DISCARDED | CLOSED) || self.excluded.add(span) {
            return;
        }
        let close = |state| matches!(state, RECORDED | REFUSED).then_some(CLOSED);
        _ = self.state.fetch_update(Relaxed, Relaxed, close);
    }

    /// Returns whether a span was [excluded](Self::exclude).
    #[inline]
    pub(super) fn excludes(&self, span: SpanId) -> bool {
        self.excluded.contains(span)
    }

    /// Refuses children until the trace is [kept](Self::keep).
    pub(super) fn refuse(&self) {
        self.replace(RECORDED, REFUSED);
    }

    /// Records the children of a kept trace, unless it is closed.
    pub(super) fn keep(&self) {
        self.replace(REFUSED, RECORDED);
    }

    /// Notes that the trace is not kept.
    pub(super) fn discard(&self) {
        self.state.store(DISCARDED, Relaxed);
    }

    fn replace(&self, old: u8, new: u8) {
        _ = self.state.compare_exchange(old, new, Relaxed, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::excluded_spans::MAX_EXCLUDED, *};

    fn ids() -> impl Iterator<Item = SpanId> {
        (1..=1_000).map(SpanId::from)
    }

    #[test]
    fn a_bounded_number_of_spans_is_excluded_and_then_children_are_refused() {
        let mut children = ChildState::new();
        assert!(ids().all(|id| !children.excludes(id)));
        ids().take(MAX_EXCLUDED).for_each(|id| children.exclude(id));
        assert_eq!(children.new_child(), NewChild::Recorded);
        ids().for_each(|id| children.exclude(id));
        let excluded = ids().filter(|id| children.excludes(*id));
        assert_eq!(excluded.count(), MAX_EXCLUDED);
        assert_eq!(children.new_child(), NewChild::Refused);
        children.restart();
        assert!(ids().all(|id| !children.excludes(id)));
        assert_eq!(children.new_child(), NewChild::Recorded);
    }

    #[test]
    fn a_discarded_trace_excludes_no_more_spans() {
        let children = ChildState::new();
        children.discard();
        ids().for_each(|id| children.exclude(id));
        assert!(ids().all(|id| !children.excludes(id)));
        assert_eq!(children.new_child(), NewChild::Discarded);
    }
}
