//! A thread that runs a task periodically.

use std::{
    convert::Infallible,
    io,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// Runs a thread until it is dropped. Dropping it wakes the thread and does not wait for its end.
/// The thread does not keep the process from exiting.
pub(crate) struct UpkeepThread {
    /// Sends nothing. Dropping it disconnects the channel, which ends the thread.
    _alive: Sender<Infallible>,
}

impl UpkeepThread {
    /// Runs `task` after every `interval`.
    pub(crate) fn start(
        interval: Duration,
        mut task: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, owner) = mpsc::channel();
        // Linux shows at most fifteen bytes of a thread's name.
        thread::Builder::new()
            .name("metrics-upkeep".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = owner.recv_timeout(interval) {
                    task();
                }
            })?;
        Ok(Self { _alive: alive })
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const NEVER: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_task_runs_periodically_on_a_named_thread() {
        let (ran, runs) = mpsc::channel();
        let _upkeep = UpkeepThread::start(Duration::from_millis(1), move || {
            let _ = ran.send(thread::current().name().map(str::to_owned));
        })
        .unwrap();
        for _ in 0..3 {
            assert_eq!(
                runs.recv_timeout(LONG).unwrap().as_deref(),
                Some("metrics-upkeep")
            );
        }
    }

    #[test]
    fn dropping_ends_the_thread_before_the_interval() {
        let (task_owner, ended) = mpsc::channel::<()>();
        let upkeep = UpkeepThread::start(NEVER, move || {
            let _ = task_owner.send(());
        })
        .unwrap();
        drop(upkeep);
        assert_eq!(
            ended.recv_timeout(LONG),
            Err(RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn dropping_does_not_wait_for_a_running_task() {
        let (entered, is_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let (task_owner, ended) = mpsc::channel::<()>();
        let upkeep = UpkeepThread::start(Duration::from_millis(1), move || {
            let _task_owner = &task_owner;
            entered.send(()).unwrap();
            may_leave.recv_timeout(LONG).unwrap();
        })
        .unwrap();
        is_entered.recv_timeout(LONG).unwrap();
        drop(upkeep);
        leave.send(()).unwrap();
        assert_eq!(
            ended.recv_timeout(LONG),
            Err(RecvTimeoutError::Disconnected)
        );
    }
}
