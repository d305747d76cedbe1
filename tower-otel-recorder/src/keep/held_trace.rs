//! The spans of one unsampled trace, from the start of its local root to the end of its last span.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
};

use opentelemetry::{SpanId, TraceId};

use super::{excluded_spans::ExcludedSpans, held_bytes::HeldBytes, rules::KeepReason};
use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed},
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
    excluded: ExcludedSpans,
    /// Whether children are recorded: one of the constants below.
    children: AtomicU8,
    /// The bytes of the open, held and kept spans.
    bytes: AtomicUsize,
    /// The bytes of all traces.
    all_bytes: Arc<HeldBytes>,
    state: Mutex<State<T>>,
}

/// Children are recorded.
const RECORDED: u8 = 0;
/// Children are not recorded, to free memory.
const REFUSED: u8 = 1;
/// The local root has ended, and the trace is not kept.
const DISCARDED: u8 = 2;
/// Children are not recorded any more, because too many spans are [excluded](HeldTrace::exclude).
const CLOSED: u8 = 3;

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

/// The decision about a trace when its local root ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Kept(KeepReason),
    /// A rule applies, but the limit of kept traces per second is reached.
    Limited,
    Discarded,
}

/// The spans and bytes that are freed when a local root ends, or when its children are dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Freed<T> {
    /// The children that have ended.
    pub(super) spans: Vec<T>,
    /// Whether the bytes of the root are freed.
    pub(super) has_bytes: bool,
}

/// The result of starting a span.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Recorded,
    /// The trace has too many bytes.
    Full,
    /// The local root has ended, and the trace is not kept.
    Discarded,
}

/// The result of ending a span.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// It waits for the end of the local root.
    Held,
    /// The trace has too many bytes.
    Full(T),
    /// The local root has ended, and the trace is kept.
    Kept(T, KeepReason),
    /// The local root has ended, and the trace is over the limit of kept traces.
    Limited(T),
    /// The local root has ended, and no rule applies.
    Discarded(T),
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
            excluded: ExcludedSpans::new(),
            children: AtomicU8::new(RECORDED),
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
        self.children.store(RECORDED, Relaxed);
        self.bytes.store(SPAN_BYTES, Relaxed);
        let state = self.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let spans = mem::take(&mut state.unused);
        state.phase = Phase::Undecided { spans, ended: 0 };
        self.excluded.clear();
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
    #[cold]
    pub(super) fn exclude(&self, span: SpanId) {
        if self.children.load(Relaxed) != DISCARDED && !self.excluded.add(span) {
            _ = self
                .children
                .compare_exchange(RECORDED, CLOSED, Relaxed, Relaxed);
        }
    }

    /// Returns whether a span was [excluded](Self::exclude).
    #[inline]
    pub(super) fn excludes(&self, span: SpanId) -> bool {
        self.excluded.contains(span)
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
        match self.children.load(Relaxed) {
            RECORDED if self.take_bytes(SPAN_BYTES) => Opened::Recorded,
            DISCARDED => Opened::Discarded,
            _ => Opened::Full,
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
        self.children.store(REFUSED, Relaxed);
        self.release_bytes(ended);
        Some(Freed {
            spans,
            has_bytes: frees_root,
        })
    }

    /// Ends the local root.
    pub(super) fn decide(&self, decision: Decision) -> Freed<T> {
        let before = mem::replace(&mut self.state().phase, Phase::Decided(decision));
        let children = match decision {
            Decision::Limited | Decision::Discarded => DISCARDED,
            Decision::Kept(_) if self.children.load(Relaxed) == CLOSED => CLOSED,
            Decision::Kept(_) => RECORDED,
        };
        self.children.store(children, Relaxed);
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
    use super::{super::excluded_spans::MAX_EXCLUDED, *};

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
    fn a_trace_excludes_a_bounded_number_of_spans_and_then_refuses_children() {
        let mut trace = trace();
        let ids = || (1..=1_000).map(SpanId::from);
        assert!(ids().all(|id| !trace.excludes(id)));
        ids().take(MAX_EXCLUDED).for_each(|id| trace.exclude(id));
        assert_eq!(trace.open_child(), Opened::Recorded);
        ids().for_each(|id| trace.exclude(id));
        assert_eq!(ids().filter(|id| trace.excludes(*id)).count(), MAX_EXCLUDED);
        assert_eq!(trace.open_child(), Opened::Full);
        trace.decide(Decision::Kept(KeepReason::Error));
        assert_eq!(trace.open_child(), Opened::Full);
        trace.restart(TraceId::from(2));
        assert!(ids().all(|id| !trace.excludes(id)));
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
