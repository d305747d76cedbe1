//! The runtime of the export thread.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::{Poll, Wake, Waker},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    time::{sleep, sleep_until},
};

use crate::{exporter::RepeatedWork, progress::Requested};

/// A runtime that only the export thread runs: while it exports, and while it waits for the next turn.
#[derive(Debug)]
pub(crate) struct ExportRuntime {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    wakeup: Arc<Wakeup>,
}

/// Wakes the export thread.
#[derive(Debug, Default)]
struct Wakeup(Notify);

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// The deadline of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Deadline<'a> {
    /// The end of the timeout of the batch.
    pub(crate) batch: Instant,
    /// Returns the flushes and the shutdown that are requested. A request at any time wakes the export thread.
    pub(crate) requested: &'a dyn Fn() -> Requested,
    runtime: &'a ExportRuntime,
}

impl ExportRuntime {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            runtime: Some(runtime),
            wakeup: Arc::default(),
        })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.wakeup))
    }

    /// Waits for this duration, or until the thread is woken. Connections are served meanwhile.
    pub(crate) fn park(&self, duration: Duration) {
        self.block_on(async {
            let mut sleep = pin!(sleep(duration));
            let mut woken = pin!(self.wakeup.0.notified());
            poll_fn(|context| match woken.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => sleep.as_mut().poll(context),
            })
            .await;
        });
    }

    /// Runs a future. Returns `None` after the runtime was dropped, which cannot happen.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        let runtime = self.runtime.as_ref()?;
        Some(runtime.block_on(future))
    }

    /// Runs a future, and does the work each time its interval is over. Returns `None` after the runtime was dropped, which
    /// cannot happen.
    pub(crate) fn block_on_beside<F: Future>(
        &self,
        future: F,
        work: Option<RepeatedWork<'_>>,
    ) -> Option<F::Output> {
        let Some(RepeatedWork { interval, work }) = work else {
            return self.block_on(future);
        };
        self.block_on(async {
            let mut future = pin!(future);
            let mut pause = pin!(sleep(interval));
            poll_fn(|context| {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(output);
                }
                while pause.as_mut().poll(context).is_ready() {
                    work();
                    pause.set(sleep(interval));
                }
                Poll::Pending
            })
            .await
        })
    }

    pub(crate) const fn deadline<'a>(
        &'a self,
        batch: Instant,
        requested: &'a dyn Fn() -> Requested,
    ) -> Deadline<'a> {
        Deadline {
            batch,
            requested,
            runtime: self,
        }
    }
}

impl Drop for ExportRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for name resolution, and does not panic inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Deadline<'_> {
    /// Returns the current deadline.
    pub(crate) fn at(&self) -> Instant {
        let shutdown = (self.requested)().shutdown_deadline;
        shutdown.map_or(self.batch, |shutdown| shutdown.min(self.batch))
    }

    /// Runs a future. Returns `None` if it is not ready before the deadline.
    pub(crate) async fn limit<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            // Registered before the deadline is read, so that no wake-up is missed.
            let mut woken = pin!(self.runtime.wakeup.0.notified());
            let mut expired = pin!(sleep_until(self.at().into()));
            let done = poll_fn(|context| {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Some(Some(output)));
                }
                if expired.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(None));
                }
                woken.as_mut().poll(context).map(|()| None)
            });
            if let Some(done) = done.await {
                return done;
            }
        }
    }

    /// Waits for this duration. Returns `false` as soon as the deadline is known to be earlier. With `unless_requested`, also
    /// returns `false` while a flush or a shutdown is requested.
    pub(crate) async fn pause(&self, duration: Duration, unless_requested: bool) -> bool {
        let end = Instant::now().checked_add(duration);
        let is_requested = || unless_requested && (self.requested)().is_any;
        let has_time = || end.is_some_and(|end| end < self.at()) && !is_requested();
        let Some(end) = end.filter(|_| has_time()) else {
            return false;
        };
        loop {
            let mut woken = pin!(self.runtime.wakeup.0.notified());
            let mut sleep = pin!(sleep_until(end.into()));
            let done = poll_fn(|context| {
                if sleep.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                woken.as_mut().poll(context).map(|()| false)
            });
            if done.await {
                return true;
            }
            if !has_time() {
                return false;
            }
        }
    }
}
