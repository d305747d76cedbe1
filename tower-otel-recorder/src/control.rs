//! Flush and shutdown requests, and the progress of the export thread.

use std::{
    process,
    sync::PoisonError,
    task::Waker,
    time::{Duration, Instant},
};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::{
    progress::{Abandoned, Progress, Requested, Shutdown, Turn},
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, Thread,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// Wakes the export thread and waits for it.
#[derive(Debug)]
pub(crate) struct Control {
    /// The process that has the export thread. A child of `fork` has no such thread.
    process: u32,
    woken: AtomicBool,
    thread: OnceLock<ExportThread>,
    state: Mutex<Progress>,
    changed: Condvar,
}

/// The means to wake the export thread.
#[derive(Debug)]
pub(crate) enum ExportThread {
    Parked(Thread),
    /// The thread waits in its exporter.
    Waiting(Waker),
}

impl Control {
    pub(crate) fn new() -> Self {
        Self::of_process(process::id())
    }

    pub(crate) fn of_process(process: u32) -> Self {
        Self {
            process,
            woken: AtomicBool::new(false),
            thread: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether this process has the export thread.
    pub(crate) fn has_thread(&self) -> bool {
        process::id() == self.process
    }

    /// Returns an error in a process that was forked after the start of the export thread. Locks may be held forever there.
    fn check_process(&self) -> OTelSdkResult {
        if self.has_thread() {
            return Ok(());
        }
        let failure = format!(
            "the recorder was started in process {} and exports nothing in its fork; start a recorder in each process",
            self.process
        );
        Err(OTelSdkError::InternalFailure(failure))
    }

    /// Wakes the export thread because a batch or the queue is full.
    ///
    /// The thread resets `woken` before it drains the queue. So either the thread sees the span of the caller, or the caller
    /// wakes the thread.
    pub(crate) fn wake(&self) {
        // A fork has no export thread, and the locks of its waker may be held forever.
        if !self.woken.load(SeqCst) && !self.woken.swap(true, SeqCst) && self.has_thread() {
            self.unpark();
        }
    }

    fn unpark(&self) {
        match self.thread.get() {
            Some(ExportThread::Parked(thread)) => thread.unpark(),
            Some(ExportThread::Waiting(waker)) => waker.wake_by_ref(),
            None => {}
        }
    }

    /// Sets the export thread. Called by that thread before anything else.
    pub(crate) fn set_thread(&self, thread: ExportThread) {
        self.thread.get_or_init(|| thread);
    }

    /// Waits with `park` until `until`, or until a batch is full or a flush or shutdown is requested. `done` is the number
    /// of completed flushes.
    pub(crate) fn next_turn(&self, until: Instant, done: u64, park: impl Fn(Duration)) -> Turn {
        loop {
            let woken = self.woken.swap(false, SeqCst);
            let turn = {
                let state = self.state();
                Turn {
                    flushes: state.flushes,
                    shutdown: state.shutdown.map(|shutdown| shutdown.timeout),
                }
            };
            let left = until.saturating_duration_since(Instant::now());
            if woken || turn.flushes != done || turn.shutdown.is_some() || left.is_zero() {
                return turn;
            }
            park(left);
        }
    }

    /// Drains spans and sets their number as the backlog. Returns `false` if the recorder is abandoned; the spans are then not
    /// exported.
    ///
    /// [`in_hands`](Self::in_hands) does not run meanwhile.
    pub(crate) fn set_backlog(&self, drain: impl FnOnce() -> usize) -> bool {
        let mut state = self.state();
        let spans = drain();
        if !state.abandoned {
            state.backlog = spans;
        }
        !state.abandoned
    }

    /// Moves spans from the backlog to the exporter. Returns `false` if the recorder is abandoned; the backlog is then
    /// already counted.
    pub(crate) fn begin_export(&self, spans: usize) -> bool {
        let mut state = self.state();
        if !state.abandoned {
            state.backlog = state.backlog.saturating_sub(spans);
            state.exporting = spans;
        }
        !state.abandoned
    }

    /// Ends an export and calls `count`, unless the recorder was abandoned meanwhile.
    pub(crate) fn end_export(&self, count: impl FnOnce()) {
        let mut state = self.state();
        if !state.abandoned {
            state.exporting = 0;
            count();
        }
    }

    /// Calls `read` with the number of drained spans and the number of spans in the exporter. Meanwhile no span moves from
    /// one number to the other, and none leaves the queue or the exporter.
    pub(crate) fn in_hands<R>(&self, read: impl FnOnce(usize, usize) -> R) -> R {
        let state = self.state();
        read(state.backlog, state.exporting)
    }

    /// Ends a turn. All spans that were queued before the request of flush number `flushes` are exported or have failed.
    pub(crate) fn end_turn(&self, flushes: u64, failure: Option<String>) {
        let mut state = self.state();
        state.flushed = flushes;
        if let Some(failure) = failure {
            // Spans that ended before a flush may already be exported when the flush is requested.
            state.failure = Some((state.flushes, failure));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends all waiting. Called when the export thread ends, for any reason.
    pub(crate) fn end_thread(&self) -> Abandoned {
        let mut state = self.state();
        state.thread_has_ended = true;
        let abandoned = state.abandon();
        drop(state);
        self.changed.notify_all();
        abandoned
    }

    /// Requests the export of all queued spans and waits for it.
    pub(crate) fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.check_process()?;
        let mut state = self.state();
        if state.thread_has_ended || state.shutdown.is_some() {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        state.flushes += 1;
        let flush = state.flushes;
        drop(state);
        self.unpark();
        self.wait(flush, timeout).1
    }

    /// Requests the shutdown, or joins a requested one, and waits for it. `close` closes the queue.
    ///
    /// If the last waiting caller times out, the recorder is abandoned.
    pub(crate) fn shutdown(
        &self,
        timeout: Duration,
        close: impl FnOnce(),
    ) -> (OTelSdkResult, Option<Abandoned>) {
        if let Err(error) = self.check_process() {
            return (Err(error), None);
        }
        let mut state = self.state();
        if state.is_shut_down() {
            return (Err(OTelSdkError::AlreadyShutdown), None);
        }
        let flush = match &mut state.shutdown {
            Some(shutdown) => {
                shutdown.waiting += 1;
                shutdown.flush
            }
            None => {
                close();
                state.flushes += 1;
                let flush = state.flushes;
                state.shutdown = Some(Shutdown {
                    timeout,
                    deadline: Some(Instant::now()),
                    flush,
                    waiting: 1,
                });
                flush
            }
        };
        if let Some(shutdown) = &mut state.shutdown {
            shutdown.extend(timeout);
        }
        drop(state);
        self.unpark();
        let (mut state, result) = self.wait(flush, timeout);
        let mut others_wait = false;
        if let Some(shutdown) = &mut state.shutdown {
            shutdown.waiting -= 1;
            others_wait = shutdown.waiting > 0;
        }
        let timed_out = matches!(result, Err(OTelSdkError::Timeout(_)));
        let abandons = timed_out && !others_wait && !state.abandoned;
        if abandons {
            // Flushes and other shutdowns wait for the same spans.
            let failure = "a shutdown ran out of time and dropped spans".to_owned();
            state.failure = Some((state.flushes, failure));
        }
        (result, abandons.then(|| state.abandon()))
    }

    /// Returns whether a shutdown was requested, or this process has no export thread.
    pub(crate) fn shutdown_is_requested(&self) -> bool {
        self.check_process().is_err() || self.state().shutdown.is_some()
    }

    #[cfg(test)]
    pub(crate) fn with_lock(&self, f: impl FnOnce()) {
        let _state = self.state();
        f();
    }

    /// Returns the flush and the shutdown that are not finished.
    pub(crate) fn requested(&self) -> Requested {
        let state = self.state();
        Requested {
            is_any: state.flushed < state.flushes,
            shutdown_deadline: state.shutdown.and_then(|shutdown| shutdown.deadline),
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting_shutdowns(&self) -> usize {
        self.state().shutdown.map_or(0, |shutdown| shutdown.waiting)
    }

    fn wait(&self, flush: u64, timeout: Duration) -> (MutexGuard<'_, Progress>, OTelSdkResult) {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), timeout, |state| {
                state.flushed < flush && !state.thread_has_ended
            })
            .unwrap_or_else(PoisonError::into_inner);
        let result = if state.flushed >= flush {
            state.result(flush)
        } else if state.thread_has_ended {
            let failure = "the export thread of the recorder has ended".to_owned();
            Err(OTelSdkError::InternalFailure(failure))
        } else {
            Err(OTelSdkError::Timeout(timeout))
        };
        (state, result)
    }
}
