//! The held traces whose local root is open, oldest first.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Instant,
};

use super::held_trace::HeldTrace;
use crate::{
    shards::Shards,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// The minimum number of traces of a thread before ended ones are removed.
const MIN_REMOVED: usize = 64;

/// The traces by the thread that started them. Only the export thread takes the locks of other threads.
#[derive(Debug)]
pub(super) struct LiveTraces<T> {
    threads: Shards<Mutex<Started<T>>>,
    is_full: AtomicBool,
}

/// The open traces that a thread started, and some that have ended.
#[derive(Debug)]
struct Started<T> {
    traces: VecDeque<(Instant, Arc<HeldTrace<T>>)>,
    /// The number of traces at which ended ones are removed.
    remove_at: usize,
}

impl<T> Default for Started<T> {
    fn default() -> Self {
        Self {
            traces: VecDeque::new(),
            remove_at: MIN_REMOVED,
        }
    }
}

impl<T> LiveTraces<T> {
    pub(super) fn new() -> Self {
        Self {
            threads: Shards::new(),
            is_full: AtomicBool::new(false),
        }
    }

    /// Adds a trace that starts on this thread.
    pub(super) fn add(&self, thread: usize, at: Instant, trace: &Arc<HeldTrace<T>>) {
        let Some(started) = self.threads.get(thread).or_else(|| self.threads.get(0)) else {
            return;
        };
        let mut started = lock(started);
        if started.traces.len() >= started.remove_at {
            started.traces.retain(|(_, trace)| !trace.is_decided());
            started.remove_at = MIN_REMOVED.max(2 * started.traces.len());
        }
        started.traces.push_back((at, Arc::clone(trace)));
    }

    /// Notes that a span was not held. Returns `true` for the first one since the last [`take_full`](Self::take_full).
    pub(super) fn set_full(&self) -> bool {
        !self.is_full.load(Relaxed) && !self.is_full.swap(true, Relaxed)
    }

    /// Returns whether a span was not held since the last [`take_full`](Self::take_full).
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Returns whether a span was not held since the last call.
    pub(super) fn take_full(&self) -> bool {
        self.is_full() && self.is_full.swap(false, Relaxed)
    }

    /// Returns the open traces that started before this time. They are not returned again.
    pub(super) fn take_old(&self, before: Instant) -> Vec<Arc<HeldTrace<T>>> {
        let mut old = Vec::new();
        for started in self.threads.iter() {
            let mut started = lock(started);
            while started.traces.front().is_some_and(|(at, _)| *at < before) {
                let trace = started.traces.pop_front();
                old.extend(
                    trace
                        .map(|(_, trace)| trace)
                        .filter(|trace| !trace.is_decided()),
                );
            }
        }
        old
    }
}

fn lock<T>(started: &Mutex<T>) -> MutexGuard<'_, T> {
    started.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::TraceId;

    use super::{
        super::{held_bytes::HeldBytes, held_trace::Decision},
        *,
    };

    fn trace() -> Arc<HeldTrace<u8>> {
        let bytes = Arc::new(HeldBytes::new(1 << 20));
        Arc::new(HeldTrace::new(1, TraceId::from(1), &bytes))
    }

    #[test]
    fn old_traces_are_returned_once() {
        let live = LiveTraces::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let open: Vec<_> = (0..6).map(|_| trace()).collect();
        for (thread, trace) in open.iter().enumerate() {
            live.add(thread % 2, at(thread as u64), trace);
        }
        open.iter()
            .skip(1)
            .take(1)
            .for_each(|trace| drop(trace.decide(Decision::Discarded)));
        assert_eq!(live.take_old(at(3)).len(), 2);
        assert_eq!(live.take_old(at(3)).len(), 0);
        assert_eq!(live.take_old(at(9)).len(), 3);
        assert_eq!(live.take_old(at(9)).len(), 0);
    }

    #[test]
    fn the_first_span_that_is_not_held_is_announced_once() {
        let live = LiveTraces::<u8>::new();
        assert!(!live.take_full());
        assert!(live.set_full() && !live.set_full());
        assert!(live.take_full() && !live.take_full());
        assert!(live.set_full());
    }

    #[test]
    fn traces_that_have_ended_are_removed_behind_one_that_never_ends() {
        let live = LiveTraces::new();
        let endless = trace();
        live.add(0, Instant::now(), &endless);
        for _ in 0..10_000 {
            let trace = trace();
            live.add(0, Instant::now(), &trace);
            trace.decide(Decision::Discarded);
        }
        let kept = live
            .threads
            .get(0)
            .map(|started| lock(started).traces.len());
        assert!(kept.is_some_and(|kept| kept <= MIN_REMOVED));
    }
}
