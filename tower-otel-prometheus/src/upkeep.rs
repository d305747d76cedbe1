//! The thread that does a small task now and then until nobody needs it any more.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Keeps a thread going for as long as it lives. Dropping it wakes the thread, which ends, and
/// waits for nothing; a process that exits does not wait for the thread either.
pub(crate) struct Upkeep {
    /// Nothing is ever sent: that this end is gone is the message.
    _alive: Sender<Infallible>,
}

impl Upkeep {
    /// Runs `task` every `interval`, the first time after the first interval.
    pub(crate) fn start(
        interval: Duration,
        mut task: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, owner) = mpsc::channel();
        // Fifteen bytes are what Linux shows of a name.
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
    fn the_task_runs_again_and_again_on_a_thread_with_a_name() {
        let (ran, runs) = mpsc::channel();
        let _upkeep = Upkeep::start(Duration::from_millis(1), move || {
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
    fn dropping_it_ends_the_thread_long_before_the_interval() {
        let (held, ended) = mpsc::channel::<()>();
        let upkeep = Upkeep::start(NEVER, move || {
            let _ = held.send(());
        })
        .unwrap();
        drop(upkeep);
        assert_eq!(
            ended.recv_timeout(LONG),
            Err(RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn dropping_it_does_not_wait_for_a_task_under_way() {
        let (entered, is_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let (held, ended) = mpsc::channel::<()>();
        let upkeep = Upkeep::start(Duration::from_millis(1), move || {
            let _held = &held;
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
