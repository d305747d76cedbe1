//! The thread of the page. It decodes and searches spans and renders metrics, so that the threads of the application do not, even
//! if the application serves the page. It has no runtime, so that the `tokio_*` metrics describe the application's runtime.

use std::io;
use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

use opentelemetry::Context;
use tokio::sync::oneshot;

use crate::disabled_subscriber::DisabledSubscriber;
use crate::page::page_state::PageState;
use crate::page::red_history::INTERVAL;
use crate::unwind;

/// The maximum number of waiting jobs. It is larger than the number of streams, searches and requests that are served at a time.
const MAX_JOBS: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// The running thread. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct PageThread {
    jobs: Arc<SyncSender<Job>>,
    process: u32,
}

/// Runs functions on the thread.
#[derive(Clone, Debug)]
pub(crate) struct PageJobs {
    jobs: Weak<SyncSender<Job>>,
    /// The process that has the thread. A child of `fork` has no such thread.
    process: u32,
}

impl PageThread {
    /// Starts the thread, which also records the history of the metrics.
    pub(crate) fn start(state: Arc<PageState>) -> io::Result<Self> {
        let (jobs, received) = sync_channel(MAX_JOBS);
        thread::Builder::new()
            .name("tower-otel-page".to_owned())
            .spawn(move || {
                // The page does not show its own spans.
                let _disabled = tracing::subscriber::set_default(DisabledSubscriber);
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                run(&state, &received);
            })?;
        Ok(Self {
            jobs: Arc::new(jobs),
            process: process::id(),
        })
    }

    pub(crate) fn jobs(&self) -> PageJobs {
        PageJobs {
            jobs: Arc::downgrade(&self.jobs),
            process: self.process,
        }
    }
}

impl PageJobs {
    /// Returns whether this process started the thread, and is not a fork of the one that did.
    pub(crate) fn has_thread(&self) -> bool {
        process::id() == self.process
    }

    /// Returns the jobs as a fork has them.
    #[cfg(test)]
    pub(crate) fn in_fork(self) -> Self {
        let process = u32::MAX;
        Self { process, ..self }
    }

    /// Runs a function on the thread. Returns the receiver of its result. The sender is dropped if the thread is stopped, is
    /// overloaded or is that of the parent process, or if the function panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        if !self.has_thread() {
            // A thread of the other process may hold the lock of the channel.
            return receiver;
        }
        if let Some(jobs) = self.jobs.upgrade() {
            let _ = jobs.try_send(Box::new(move || {
                let _ = sender.send(work());
            }));
        }
        receiver
    }
}

/// Runs jobs. Also reads the metrics at the end of each interval, even while no browser is connected.
fn run(state: &PageState, jobs: &Receiver<Job>) {
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next {
            next = now + INTERVAL;
            // Functions of the application run before metrics are rendered.
            unwind::catch(|| state.record_history(now));
        }
        match jobs.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(job) => drop(unwind::catch(job)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;

    fn start() -> PageThread {
        let state = Arc::new(PageState::new("shop".to_owned()));
        PageThread::start(state).unwrap()
    }

    #[test]
    fn the_thread_has_no_runtime_that_metrics_could_remember() {
        let thread = start();
        let has_runtime = thread.jobs().run(|| Handle::try_current().is_ok());
        assert!(!has_runtime.blocking_recv().unwrap());
    }

    #[test]
    fn a_job_that_panics_has_no_result_and_the_next_one_runs() {
        let jobs = start();
        let panicked = jobs.jobs().run(|| panic!("expected"));
        assert!(panicked.blocking_recv().is_err());
        assert_eq!(jobs.jobs().run(|| 5).blocking_recv(), Ok(5));
    }

    #[test]
    fn a_stopped_thread_has_no_results() {
        let thread = start();
        let jobs = thread.jobs();
        drop(thread);
        assert!(jobs.run(|| 5).blocking_recv().is_err());
    }

    #[test]
    fn a_fork_has_no_results_at_once() {
        let thread = start();
        assert!(thread.jobs().in_fork().run(|| 5).blocking_recv().is_err());
        let of_parent = thread.jobs().run(|| 5).blocking_recv();
        assert_eq!(of_parent, Ok(5));
    }

    #[test]
    fn a_thread_with_too_much_to_do_takes_no_more_jobs() {
        let thread = start();
        let (start, started) = oneshot::channel();
        let (block, blocked) = oneshot::channel::<()>();
        let first = thread.jobs().run(move || {
            let _ = start.send(());
            blocked.blocking_recv()
        });
        started.blocking_recv().unwrap();
        let waiting: Vec<_> = (0..MAX_JOBS).map(|_| thread.jobs().run(|| ())).collect();
        assert!(thread.jobs().run(|| ()).blocking_recv().is_err());
        block.send(()).unwrap();
        assert!(first.blocking_recv().unwrap().is_ok());
        for waiting in waiting {
            waiting.blocking_recv().unwrap();
        }
    }
}
