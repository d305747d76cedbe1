//! The rate and duration of traffic, and the counts of its responses.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Mutex as AsyncMutex,
    time::{self, Instant, Interval, MissedTickBehavior},
};

/// Limits rate and duration, and counts responses. Shared by all customers.
#[derive(Clone)]
pub(crate) struct Pacer {
    interval: Arc<AsyncMutex<Interval>>,
    start: Instant,
    until: Instant,
    status_counts: Arc<Mutex<StatusCounts>>,
}

/// The number of responses by status. Status 0 stands for no response.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusCounts(BTreeMap<u16, u64>);

impl Pacer {
    /// Creates a pacer for `rate` requests per second during `duration`.
    pub(crate) fn new(rate: u32, duration: Duration) -> Self {
        let mut interval = time::interval(Duration::from_secs(1) / rate.clamp(1, 1_000_000));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            interval: Arc::new(AsyncMutex::new(interval)),
            start: Instant::now(),
            until: Instant::now() + duration,
            status_counts: Arc::default(),
        }
    }

    /// Waits until the next request may be sent. Returns `None` when the time is over.
    pub(super) async fn wait(&self) -> Option<()> {
        let tick = async { self.interval.lock().await.tick().await };
        time::timeout_at(self.until, tick).await.ok()?;
        Some(())
    }

    /// Returns the elapsed fraction of the duration, from 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        let duration = self.until - self.start;
        self.start.elapsed().as_secs_f64() / duration.as_secs_f64()
    }

    pub(super) fn count(&self, status: u16) {
        let mut status_counts = self
            .status_counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *status_counts.0.entry(status).or_default() += 1;
    }

    pub(crate) fn status_counts(&self) -> StatusCounts {
        let status_counts = self.status_counts.lock();
        status_counts
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl StatusCounts {
    pub(crate) fn sent(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn responses(&self) -> u64 {
        self.sent() - self.0.get(&0).copied().unwrap_or_default()
    }
}

impl fmt::Display for StatusCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests:", self.sent())?;
        for (status, count) in &self.0 {
            match status {
                0 => write!(f, " no response×{count}")?,
                _ => write!(f, " {status}×{count}")?,
            }
        }
        Ok(())
    }
}
