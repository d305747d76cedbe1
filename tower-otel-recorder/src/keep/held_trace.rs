//! The spans of one unsampled trace, from the start of its local root to the end of its last span.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
};

use opentelemetry::{SpanId, TraceId};

use super::{
    child_state::{ChildState, NewChild},
    held_bytes::HeldBytes,
    span_results::{Decision, Ended, Freed, Opened},
};
use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

/// The minimum number of bytes that a span counts. An open span with more bytes counts more.
pub(super) const SPAN_BYTES: usize = 2 * 1024;

/// The maximum number of bytes of a trace's spans, including spans that end after a kept local root.
pub(super) const TRACE_BYTES: usize = 512 * 1024;

/// A list of children with a larger capacity is not reused.
const MAX_REUSED: usize = 32;

/// The ended spans of a trace, until its local root ends. Shared by its open spans and their contexts.
pub(crate) struct HeldTrace<T> {
    /// The recorder that the trace belongs to.
    recorder: usize,
    trace: TraceId,
    is_marked: AtomicBool,
    is_decided: AtomicBool,
    is_exported: AtomicBool,
    children: ChildState,
    /// The bytes of the open, held and kept spans.
    bytes: AtomicUsize,
    /// The bytes of all traces.
    all_bytes: Arc<HeldBytes>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    phase: Phase<T>,
    /// An empty list for the children of the next trace.
    unused: Vec<T>,
}

#[derive(Debug)]
enum Phase<T> {
    /// The local root is open.
    Undecided {
        spans: Vec<T>,
        /// The bytes of `spans`.
        ended: usize,
    },
    /// The local root is open. Its children were dropped to free memory.
    RootOnly {
        /// Whether the root still has its bytes.
        has_bytes: bool,
    },
    Decided(Decision),
}

/// The place of an open span in its trace. Its owner must end or cancel it.
#[derive(Debug)]
pub(crate) struct HeldSpan<T> {
    pub(super) trace: Arc<HeldTrace<T>>,
    pub(super) is_root: bool,
    /// Whether the trace is a value in the context below which the span starts.
    pub(super) is_inherited: bool,
}

impl<T> HeldSpan<T> {
    pub(crate) const fn trace(&self) -> &Arc<HeldTrace<T>> {
        &self.trace
    }

    pub(crate) const fn is_inherited(&self) -> bool {
        self.is_inherited
    }
}

impl<T> HeldTrace<T> {
    /// Returns the trace of an open local root.
    pub(super) fn new(recorder: usize, trace: TraceId, all_bytes: &Arc<HeldBytes>) -> Self {
        Self {
            recorder,
            trace,
            is_marked: AtomicBool::new(false),
            is_decided: AtomicBool::new(false),
            is_exported: AtomicBool::new(false),
            children: ChildState::new(),
            bytes: AtomicUsize::new(SPAN_BYTES),
            all_bytes: Arc::clone(all_bytes),
            state: Mutex::new(State {
                phase: Phase::Undecided {
                    spans: Vec::new(),
                    ended: 0,
                },
                unused: Vec::new(),
            }),
        }
    }

    /// Replaces an ended trace by the trace of an open local root of the same recorder.
    pub(super) fn restart(&mut self, trace: TraceId) {
        self.trace = trace;
        for flag in [&self.is_marked, &self.is_decided, &self.is_exported] {
            flag.store(false, Relaxed);
        }
        self.children.restart();
        self.bytes.store(SPAN_BYTES, Relaxed);
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let spans = mem::take(&mut state.unused);
        state.phase = Phase::Undecided { spans, ended: 0 };
    }

    /// Keeps the capacity of an empty list of children for the next trace, up to a bound.
    pub(super) fn keep_capacity(&self, children: Vec<T>) {
        if (1..=MAX_REUSED).contains(&children.capacity()) {
            self.state().unused = children;
        }
    }

    pub(super) fn is(&self, recorder: usize, trace: TraceId) -> bool {
        self.recorder == recorder && self.has_id(trace)
    }

    pub(super) fn has_id(&self, trace: TraceId) -> bool {
        self.trace == trace
    }

    /// Notes that a span with the same trace id, whose context inherits this trace as a value, does not belong to it. If there are
    /// too many, no more children are recorded.
    pub(super) fn exclude(&self, span: SpanId) {
        self.children.exclude(span);
    }

    /// Returns whether a span was [excluded](Self::exclude).
    #[inline]
    pub(super) fn excludes(&self, span: SpanId) -> bool {
        self.children.excludes(span)
    }

    /// Requests that the trace is kept. Has no effect when the local root has ended.
    pub(super) fn mark(&self) {
        self.is_marked.store(true, Relaxed);
    }

    pub(super) fn is_marked(&self) -> bool {
        self.is_marked.load(Relaxed)
    }

    /// Returns whether the local root has ended.
    pub(super) fn is_decided(&self) -> bool {
        self.is_decided.load(Relaxed)
    }

    /// Notes that the trace is kept and that its local root waits for the export.
    pub(super) fn set_exported(&self) {
        self.is_exported.store(true, Relaxed);
    }

    /// Returns whether the trace is kept and its local root was queued. `false` as long as the local root is open.
    pub(super) fn is_exported(&self) -> bool {
        self.is_exported.load(Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a child.
    pub(super) fn open_child(&self) -> Opened {
        match self.children.new_child() {
            NewChild::Recorded if self.take_bytes(SPAN_BYTES) => Opened::Recorded,
            NewChild::Recorded | NewChild::Refused => Opened::Full,
            NewChild::Discarded => Opened::Discarded,
        }
    }

    /// Reverts [`open_child`](Self::open_child).
    pub(super) fn cancel_child(&self) {
        self.release_bytes(SPAN_BYTES);
    }

    /// Takes more bytes for an open span. Returns `false` and takes none if fewer are left.
    pub(super) fn take(&self, thread: usize, bytes: usize) -> bool {
        let is_taken = self.take_bytes(bytes);
        if is_taken && !self.all_bytes.take(thread, bytes) {
            self.release_bytes(bytes);
            return false;
        }
        is_taken
    }

    /// Frees bytes that an open span has taken.
    pub(super) fn release(&self, thread: usize, bytes: usize) {
        self.release_bytes(bytes);
        self.all_bytes.release(thread, bytes);
    }

    /// Takes bytes of the trace. Returns `false` and takes none if the trace would exceed its limit.
    fn take_bytes(&self, bytes: usize) -> bool {
        let take = |used: usize| {
            let used = used.saturating_add(bytes);
            (used <= TRACE_BYTES).then_some(used)
        };
        self.bytes.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    fn release_bytes(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Ends a child with this many bytes.
    pub(super) fn end_child(&self, span: T, span_bytes: usize) -> Ended<T> {
        let mut state = self.state();
        let missing = span_bytes.saturating_sub(SPAN_BYTES);
        match &mut state.phase {
            Phase::Undecided { spans, ended } if self.take_bytes(missing) => {
                *ended = ended.saturating_add(SPAN_BYTES + missing);
                spans.push(span);
                return Ended::Held;
            }
            Phase::Decided(Decision::Kept(reason)) if self.take_bytes(missing) => {
                return Ended::Kept(span, *reason);
            }
            _ => {}
        }
        self.release_bytes(SPAN_BYTES);
        match state.phase {
            Phase::Decided(Decision::Limited) => Ended::Limited(span),
            Phase::Decided(Decision::Discarded) => Ended::Discarded(span),
            _ => Ended::Full(span),
        }
    }

    /// Drops the children of an open root, now and in the future, and returns those that have ended. `frees_root` returns
    /// whether the bytes of the root are also freed. Returns `None` if the children were already dropped or the root has
    /// ended.
    pub(super) fn evict_children(&self, frees_root: impl FnOnce() -> bool) -> Option<Freed<T>> {
        let mut state = self.state();
        let Phase::Undecided { spans, ended } = &mut state.phase else {
            return None;
        };
        let (spans, ended) = (mem::take(spans), *ended);
        let frees_root = frees_root();
        state.phase = Phase::RootOnly {
            has_bytes: !frees_root,
        };
        self.children.refuse();
        self.release_bytes(ended);
        Some(Freed {
            spans,
            has_bytes: frees_root,
        })
    }

    /// Ends the local root.
    pub(super) fn decide(&self, decision: Decision) -> Freed<T> {
        let before = mem::replace(&mut self.state().phase, Phase::Decided(decision));
        match decision {
            Decision::Kept(_) => self.children.keep(),
            Decision::Limited | Decision::Discarded => self.children.discard(),
        }
        self.is_decided.store(true, Relaxed);
        match before {
            Phase::Undecided { spans, .. } => Freed {
                spans,
                has_bytes: true,
            },
            Phase::RootOnly { has_bytes } => Freed {
                spans: Vec::new(),
                has_bytes,
            },
            Phase::Decided(_) => Freed {
                spans: Vec::new(),
                has_bytes: false,
            },
        }
    }
}

impl<T> fmt::Debug for HeldTrace<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldTrace")
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{excluded_spans::MAX_EXCLUDED, rules::KeepReason},
        *,
    };

    fn trace() -> HeldTrace<u8> {
        HeldTrace::new(7, TraceId::from(1), &Arc::new(HeldBytes::new(usize::MAX)))
    }

    #[test]
    fn a_trace_holds_a_bounded_number_of_spans() {
        let trace = trace();
        let opened = (0..1_000).filter(|_| trace.open_child() == Opened::Recorded);
        assert_eq!(opened.count(), TRACE_BYTES / SPAN_BYTES - 1);
        assert_eq!(trace.open_child(), Opened::Full);
        trace.cancel_child();
        assert_eq!(trace.open_child(), Opened::Recorded);
        assert_eq!(trace.end_child(1, SPAN_BYTES), Ended::Held);
        assert_eq!(trace.open_child(), Opened::Full);
        assert_eq!(trace.end_child(2, SPAN_BYTES + 1), Ended::Full(2));
        assert_eq!(trace.open_child(), Opened::Recorded);
        assert_eq!(trace.decide(Decision::Discarded).spans, [1]);
    }

    #[test]
    fn a_trace_holds_a_bounded_number_of_bytes() {
        let trace = trace();
        for (span, bytes, expected) in [
            (1, TRACE_BYTES, Ended::Full(1)),
            (2, TRACE_BYTES - SPAN_BYTES, Ended::Held),
        ] {
            assert_eq!(trace.open_child(), Opened::Recorded);
            assert_eq!(trace.end_child(span, bytes), expected);
        }
        assert_eq!(trace.open_child(), Opened::Full);
    }

    #[test]
    fn a_trace_with_too_many_excluded_spans_records_no_children_after_its_root() {
        let exclude = |trace: &HeldTrace<u8>| {
            let ids = (0..=MAX_EXCLUDED as u64).map(SpanId::from);
            ids.for_each(|id| trace.exclude(id));
        };
        for evicts in [[false, false], [true, false], [false, true]] {
            let trace = trace();
            let evict = |evicts: bool| evicts.then(|| trace.evict_children(|| true));
            evict(evicts[0]);
            exclude(&trace);
            evict(evicts[1]);
            assert_eq!(trace.open_child(), Opened::Full);
            trace.decide(Decision::Kept(KeepReason::Error));
            assert_eq!(trace.open_child(), Opened::Full);
        }
    }

    #[test]
    fn a_kept_trace_whose_children_were_dropped_records_new_ones() {
        let trace = trace();
        trace.evict_children(|| true);
        assert_eq!(trace.open_child(), Opened::Full);
        trace.decide(Decision::Kept(KeepReason::Error));
        assert_eq!(trace.open_child(), Opened::Recorded);
    }

    #[test]
    fn a_trace_whose_children_are_dropped_keeps_its_root() {
        for frees_root in [true, false] {
            let trace = trace();
            trace.open_child();
            trace.open_child();
            assert_eq!(trace.end_child(1, SPAN_BYTES), Ended::Held);
            let evicted = Freed {
                spans: vec![1],
                has_bytes: frees_root,
            };
            assert_eq!(trace.evict_children(|| frees_root), Some(evicted));
            assert_eq!(trace.evict_children(|| true), None);
            assert_eq!(trace.open_child(), Opened::Full);
            assert_eq!(trace.end_child(2, SPAN_BYTES), Ended::Full(2));
            let left = Freed {
                spans: vec![],
                has_bytes: !frees_root,
            };
            assert_eq!(trace.decide(Decision::Kept(KeepReason::Error)), left);
            assert_eq!(trace.evict_children(|| true), None);
        }
    }

    #[test]
    fn children_that_end_after_the_root_follow_its_decision() {
        for (decision, opened, ended) in [
            (
                Decision::Kept(KeepReason::Slow),
                Opened::Recorded,
                Ended::Kept(1, KeepReason::Slow),
            ),
            (Decision::Limited, Opened::Discarded, Ended::Limited(1)),
            (Decision::Discarded, Opened::Discarded, Ended::Discarded(1)),
        ] {
            let trace = trace();
            trace.open_child();
            assert!(trace.decide(decision).spans.is_empty());
            assert_eq!(trace.end_child(1, SPAN_BYTES), ended);
            assert_eq!(trace.open_child(), opened);
        }
    }
}
