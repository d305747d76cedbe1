//! The held traces whose local root is open.

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

impl<T> Started<T> {
    fn remove_ended(&mut self) {
        if self.traces.len() >= self.remove_at {
            self.traces.retain(|(_, trace)| !trace.is_decided());
            self.remove_at = MIN_REMOVED.max(2 * self.traces.len());
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

    /// Returns a trace that starts on this thread at this time: an ended one that is not used any more, after `reuse`, or a
    /// new one.
    pub(super) fn start(
        &self,
        thread: usize,
        at: Instant,
        reuse: impl FnOnce(&mut HeldTrace<T>),
        new: impl FnOnce() -> HeldTrace<T>,
    ) -> Arc<HeldTrace<T>> {
        let Some(started) = self.threads.get(thread).or_else(|| self.threads.get(0)) else {
            return Arc::new(new());
        };
        let mut started = lock(started);
        // One attempt is enough, because the other traces are tried in turn.
        let tried = started.traces.pop_front().map(|(since, mut trace)| {
            let unused = Arc::get_mut(&mut trace).filter(|trace| trace.is_decided());
            match unused.map(reuse) {
                Some(()) => Ok(trace),
                None => Err((since, trace)),
            }
        });
        let trace = match tried {
            Some(Ok(trace)) => trace,
            Some(Err(used)) => {
                started.traces.push_back(used);
                started.remove_ended();
                Arc::new(new())
            }
            None => Arc::new(new()),
        };
        started.traces.push_back((at, Arc::clone(&trace)));
        trace
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
            lock(started).traces.retain(|(at, trace)| {
                let is_old = *at < before;
                if is_old && !trace.is_decided() {
                    old.push(Arc::clone(trace));
                }
                !is_old
            });
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
        super::{held_bytes::HeldBytes, span_results::Decision},
        *,
    };

    fn start(live: &LiveTraces<u8>, thread: usize, at: Instant) -> Arc<HeldTrace<u8>> {
        let bytes = Arc::new(HeldBytes::new(1 << 20));
        let id = TraceId::from(1);
        live.start(
            thread,
            at,
            |trace| trace.restart(id),
            || HeldTrace::new(1, id, &bytes),
        )
    }

    #[test]
    fn old_traces_are_returned_once() {
        let live = LiveTraces::new();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let open = (0..6).map(|n| start(&live, n % 2, at(n as u64)));
        let open: Vec<_> = open.collect();
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
    fn an_ended_trace_is_reused_when_nothing_refers_to_it() {
        let live = LiveTraces::new();
        let now = Instant::now();
        let number = |trace: &Arc<HeldTrace<u8>>| Arc::as_ptr(trace).addr();
        let open = start(&live, 0, now);
        let ended = start(&live, 0, now);
        ended.decide(Decision::Discarded);
        let first = number(&ended);
        let others = [(); 3].map(|()| start(&live, 0, now));
        assert!(others.iter().all(|other| number(other) != first));
        drop(ended);
        let others = [(); 5].map(|()| start(&live, 0, now));
        let reused = others.iter().filter(|other| number(other) == first);
        assert_eq!(reused.count(), 1);
        assert!(others.iter().all(|other| !other.is_decided()));
        drop(open);
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
        let now = Instant::now();
        let _endless = start(&live, 0, now);
        for _ in 0..10_000 {
            start(&live, 0, now).decide(Decision::Discarded);
        }
        let kept = live
            .threads
            .get(0)
            .map(|started| lock(started).traces.len());
        assert!(kept.is_some_and(|kept| kept <= MIN_REMOVED));
    }
}
