//! The progress of a shutdown that several callers can wait for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The phase of the shutdown, which all callers share.
#[derive(Debug, Default)]
pub(crate) struct ShutdownProgress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// The number of threads that shut a signal down. The spans have no thread, because each caller waits for the recorder.
    pub(crate) threads: usize,
    /// Whether the spans are shut down.
    pub(crate) spans_ended: bool,
    /// The number of callers that wait.
    pub(crate) waiting: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Running,
    Stopping,
    Finished,
}

pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// Counts the end of a task when it is dropped, also if the task panics.
struct TaskEnd(Arc<ShutdownProgress>);

impl Drop for TaskEnd {
    fn drop(&mut self) {
        self.0.state().threads -= 1;
        self.0.notify();
    }
}

impl ShutdownProgress {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs each task on a separate thread, because some providers exceed their timeout.
    pub(crate) fn spawn(self: &Arc<Self>, tasks: Vec<Task>, state: &mut State) {
        for task in tasks {
            let progress = Arc::clone(self);
            let name = "tower-otel-flush".to_owned();
            let spawned = thread::Builder::new().name(name).spawn(move || {
                let _end = TaskEnd(progress);
                task();
            });
            state.threads += usize::from(spawned.is_ok());
        }
    }

    /// Wakes the callers that wait.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Records that the spans are shut down.
    pub(crate) fn end_spans(&self) {
        self.state().spans_ended = true;
        self.notify();
    }

    /// Waits until the spans are shut down, or the whole shutdown is finished.
    pub(crate) fn wait_for_spans(&self, timeout: Duration) {
        let is_busy = |state: &mut State| !state.spans_ended && state.phase != Phase::Finished;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), timeout, is_busy);
        drop(waited);
    }

    /// Waits for the threads, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> MutexGuard<'_, State> {
        let is_busy = |state: &mut State| state.threads > 0 && state.phase != Phase::Finished;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), timeout, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_panics_has_ended() {
        let progress = Arc::new(ShutdownProgress::default());
        // Unwinds like a panic, without a message.
        let task: Task = Box::new(|| std::panic::resume_unwind(Box::new(())));
        progress.spawn(vec![task], &mut progress.state());
        let state = progress.wait(Duration::from_secs(5));
        assert_eq!(state.threads, 0);
    }
}
