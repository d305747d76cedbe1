//! How fast, how long, and what came back.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Mutex as Turns,
    time::{self, Instant, Interval, MissedTickBehavior},
};

/// Shared by all customers.
#[derive(Clone)]
pub(crate) struct Pace {
    turns: Arc<Turns<Interval>>,
    start: Instant,
    until: Instant,
    tally: Arc<Mutex<Tally>>,
}

/// Answers, by status; 0 is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<u16, u64>);

impl Pace {
    /// So many requests in a second, for so long.
    pub(crate) fn new(rate: u32, duration: Duration) -> Self {
        let mut turns = time::interval(Duration::from_secs(1) / rate.clamp(1, 1_000_000));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            turns: Arc::new(Turns::new(turns)),
            start: Instant::now(),
            until: Instant::now() + duration,
            tally: Arc::default(),
        }
    }

    /// Waits for a turn; `None` when the time is over.
    pub(super) async fn turn(&self) -> Option<()> {
        let turn = async { self.turns.lock().await.tick().await };
        time::timeout_at(self.until, turn).await.ok()?;
        Some(())
    }

    /// How much of the time is over, from 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        let all = self.until - self.start;
        self.start.elapsed().as_secs_f64() / all.as_secs_f64()
    }

    pub(super) fn count(&self, status: u16) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.0.entry(status).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> Tally {
        let tally = self.tally.lock();
        tally.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Tally {
    pub(crate) fn sent(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn answered(&self) -> u64 {
        self.sent() - self.0.get(&0).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests:", self.sent())?;
        for (status, count) in &self.0 {
            match status {
                0 => write!(f, " unanswered×{count}")?,
                _ => write!(f, " {status}×{count}")?,
            }
        }
        Ok(())
    }
}
