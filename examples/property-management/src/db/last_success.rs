//! The time of the last successful query.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The time for which a successful query counts as proof that the database responds.
const RECENT: Duration = Duration::from_secs(5);

/// The time of the last successful query, shared by the clones of a database.
#[derive(Clone)]
pub(super) struct LastSuccess(Arc<Inner>);

struct Inner {
    start: Instant,
    /// Milliseconds since `start`, plus one. Zero if no query has succeeded.
    at: AtomicU64,
}

impl Default for LastSuccess {
    fn default() -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            at: AtomicU64::new(0),
        }))
    }
}

impl LastSuccess {
    fn now(&self) -> u64 {
        let millis = self.0.start.elapsed().as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub(super) fn record(&self) {
        self.0.at.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn is_recent(&self) -> bool {
        let at = self.0.at.load(Ordering::Relaxed);
        let recent = u64::try_from(RECENT.as_millis()).unwrap_or(u64::MAX);
        at > 0 && self.now().saturating_sub(at) < recent
    }
}
