//! The spans of one trace that is not sampled, from the start of its local root to the end of its last span.

use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
};

use opentelemetry::TraceId;

use super::rules::KeepReason;
use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The bytes that an open span counts, and every other span at least.
pub(super) const SPAN_BYTES: usize = 2 * 1024;

/// The bytes of the spans of a trace.
pub(super) const TRACE_BYTES: usize = 512 * 1024;

/// The spans of a trace that have ended, until its local root ends. Shared by its open spans and by their contexts.
pub(crate) struct HeldTrace<T> {
    /// The recorder that the trace belongs to.
    recorder: usize,
    trace: TraceId,
    is_marked: AtomicBool,
    is_decided: AtomicBool,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
enum State<T> {
    /// The local root is open.
    Undecided {
        spans: Vec<T>,
        /// The bytes of `spans` and of the open spans.
        bytes: usize,
    },
    /// The local root is open and has given up its children, because other traces need the room.
    RootOnly {
        /// Whether the root still has its bytes.
        has_place: bool,
    },
    Kept(KeepReason),
    Discarded,
}

/// What a local root leaves when it ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decided<T> {
    /// The children that have ended.
    pub(super) spans: Vec<T>,
    /// Whether the root has its bytes.
    pub(super) has_place: bool,
}

/// Whether a span that starts is recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Recorded,
    /// The trace has too many bytes.
    Full,
    /// The local root has ended, and the trace is not kept.
    Discarded,
}

/// What becomes of a span that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// It waits for the end of the local root.
    Held,
    /// The trace has too many bytes.
    Full(T),
    /// The local root ended before, and the trace is kept.
    Kept(T, KeepReason),
    /// The local root ended before, and the trace is not kept.
    Discarded(T),
}

/// The place of an open span in its trace. Its owner must end or cancel it.
#[derive(Debug)]
pub(crate) struct HeldSpan<T> {
    pub(super) trace: Arc<HeldTrace<T>>,
    pub(super) is_root: bool,
}

impl<T> HeldSpan<T> {
    pub(crate) const fn trace(&self) -> &Arc<HeldTrace<T>> {
        &self.trace
    }
}

impl<T> HeldTrace<T> {
    /// Returns the trace of a local root, which is open.
    pub(super) fn new(recorder: usize, trace: TraceId) -> Self {
        Self {
            recorder,
            trace,
            is_marked: AtomicBool::new(false),
            is_decided: AtomicBool::new(false),
            state: Mutex::new(State::Undecided {
                spans: Vec::new(),
                bytes: SPAN_BYTES,
            }),
        }
    }

    pub(super) fn is(&self, recorder: usize, trace: TraceId) -> bool {
        self.recorder == recorder && self.trace == trace
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

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a child.
    pub(super) fn open_child(&self) -> Opened {
        match &mut *self.state() {
            State::Undecided { bytes, .. } if *bytes + SPAN_BYTES > TRACE_BYTES => Opened::Full,
            State::Undecided { bytes, .. } => {
                *bytes += SPAN_BYTES;
                Opened::Recorded
            }
            State::RootOnly { .. } => Opened::Full,
            State::Kept(_) => Opened::Recorded,
            State::Discarded => Opened::Discarded,
        }
    }

    /// Takes the opening of a child back.
    pub(super) fn cancel_child(&self) {
        if let State::Undecided { bytes, .. } = &mut *self.state() {
            *bytes = bytes.saturating_sub(SPAN_BYTES);
        }
    }

    /// Ends a child with so many bytes.
    pub(super) fn end_child(&self, span: T, span_bytes: usize) -> Ended<T> {
        match &mut *self.state() {
            State::Undecided { spans, bytes } => {
                let others = bytes.saturating_sub(SPAN_BYTES);
                let all = others.saturating_add(span_bytes);
                if all > TRACE_BYTES {
                    *bytes = others;
                    return Ended::Full(span);
                }
                *bytes = all;
                spans.push(span);
                Ended::Held
            }
            State::RootOnly { .. } => Ended::Full(span),
            State::Kept(reason) => Ended::Kept(span, *reason),
            State::Discarded => Ended::Discarded(span),
        }
    }

    /// Discards the children of an open root from now on, and returns those that have ended. `frees_root` returns whether
    /// the root gives up its bytes, too. Returns `None` if the root has none or has ended.
    pub(super) fn give_up(&self, frees_root: impl FnOnce() -> bool) -> Option<Decided<T>> {
        let mut state = self.state();
        let State::Undecided { spans, .. } = &mut *state else {
            return None;
        };
        let spans = mem::take(spans);
        let has_place = frees_root();
        *state = State::RootOnly {
            has_place: !has_place,
        };
        Some(Decided { spans, has_place })
    }

    /// Ends the local root, with the reason if the trace is kept.
    pub(super) fn decide(&self, reason: Option<KeepReason>) -> Decided<T> {
        let decided = reason.map_or(State::Discarded, State::Kept);
        let before = mem::replace(&mut *self.state(), decided);
        self.is_decided.store(true, Relaxed);
        match before {
            State::Undecided { spans, .. } => Decided {
                spans,
                has_place: true,
            },
            State::RootOnly { has_place } => Decided {
                spans: Vec::new(),
                has_place,
            },
            State::Kept(_) | State::Discarded => Decided {
                spans: Vec::new(),
                has_place: false,
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
    use super::*;

    fn trace() -> HeldTrace<u8> {
        HeldTrace::new(7, TraceId::from(1))
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
        assert_eq!(trace.decide(None).spans, [1]);
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
    fn a_trace_that_gives_up_keeps_its_root_only() {
        for frees_root in [true, false] {
            let trace = trace();
            trace.open_child();
            trace.open_child();
            assert_eq!(trace.end_child(1, SPAN_BYTES), Ended::Held);
            let given_up = Decided {
                spans: vec![1],
                has_place: frees_root,
            };
            assert_eq!(trace.give_up(|| frees_root), Some(given_up));
            assert_eq!(trace.give_up(|| true), None);
            assert_eq!(trace.open_child(), Opened::Full);
            assert_eq!(trace.end_child(2, SPAN_BYTES), Ended::Full(2));
            let left = Decided {
                spans: vec![],
                has_place: !frees_root,
            };
            assert_eq!(trace.decide(Some(KeepReason::Error)), left);
            assert_eq!(trace.give_up(|| true), None);
        }
    }

    #[test]
    fn children_that_end_after_the_root_share_its_decision() {
        for reason in [None, Some(KeepReason::Slow)] {
            let trace = trace();
            trace.open_child();
            assert!(trace.decide(reason).spans.is_empty());
            let (opened, ended) = match reason {
                Some(reason) => (Opened::Recorded, Ended::Kept(1, reason)),
                None => (Opened::Discarded, Ended::Discarded(1)),
            };
            assert_eq!(trace.end_child(1, SPAN_BYTES), ended);
            assert_eq!(trace.open_child(), opened);
        }
    }
}
