//! The maximum number of kept traces per second.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;

/// Allows a number of traces at once, and then this number per second, without a lock.
///
/// Each trace takes an equal part of a second. `taken_until` is the end of the last part, and may be at most one second
/// in the future. If the number changes, the taken parts stay taken.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    taken_until: AtomicU64,
}

impl RateLimit {
    /// Returns whether one more trace is allowed. `now` is the time since the creation of the limit.
    pub(super) fn allows(&self, now: Duration, per_second: u32) -> bool {
        let interval = SECOND / u64::from(per_second.max(1));
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let latest = now.saturating_add(SECOND);
        let take = |taken_until: u64| {
            let until = taken_until.max(now).saturating_add(interval);
            (until <= latest).then_some(until)
        };
        self.taken_until
            .fetch_update(Relaxed, Relaxed, take)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_one_second_more_than_its_duration() {
        for per_second in [1, 3, 10, 100, 1_000_000, u32::MAX] {
            let limit = RateLimit::default();
            let limit_of = |seconds: u64| u64::from(per_second) * (seconds + 1);
            let mut allowed = 0;
            for millis in 0..2_000 {
                for _ in 0..10 {
                    allowed += u64::from(limit.allows(Duration::from_millis(millis), per_second));
                }
            }
            assert!(allowed <= limit_of(2), "{allowed} at {per_second}");
            assert!(
                allowed + 1 >= limit_of(1).min(20_000),
                "{allowed} at {per_second}"
            );
        }
    }

    #[test]
    fn a_pause_allows_a_seconds_worth_again() {
        let limit = RateLimit::default();
        let allowed = |at: u64| {
            (0..100)
                .filter(|_| limit.allows(Duration::from_secs(at), 10))
                .count()
        };
        assert_eq!((allowed(5), allowed(5), allowed(500)), (10, 0, 10));
    }
}
