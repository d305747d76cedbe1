//! A maximum number of traces per second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;

/// Allows a number of traces at once, and the same number in each later second, without a lock.
///
/// Each trace takes an interval of a second divided by the number. `taken_until` is the end of the last interval. It is at most a
/// second later than now.
#[derive(Debug)]
pub(crate) struct RateLimit {
    created: Instant,
    interval: u64,
    taken_until: AtomicU64,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            created: Instant::now(),
            interval: SECOND / u64::from(per_second.max(1)),
            taken_until: AtomicU64::new(0),
        }
    }

    /// Returns whether another trace is allowed now, and counts it if so.
    pub(crate) fn allows(&self) -> bool {
        self.allows_at(self.created.elapsed())
    }

    fn allows_at(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let latest = now.saturating_add(SECOND);
        let take = |taken_until: u64| {
            let until = taken_until.max(now).saturating_add(self.interval);
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
        for per_second in [1, 10, 1_000] {
            let limit = RateLimit::new(per_second);
            let allowed = (0..2_000_u64)
                .flat_map(|millis| [millis; 10])
                .filter(|millis| limit.allows_at(Duration::from_millis(*millis)))
                .count();
            let seconds = |count: usize| count * per_second as usize;
            assert!(
                (seconds(3) - 1..=seconds(3)).contains(&allowed),
                "{allowed}"
            );
        }
    }

    #[test]
    fn a_pause_allows_a_seconds_worth_again() {
        let limit = RateLimit::new(10);
        let allowed = |at: u64| {
            let at = Duration::from_secs(at);
            (0..100).filter(|_| limit.allows_at(at)).count()
        };
        assert_eq!((allowed(5), allowed(5), allowed(500)), (10, 0, 10));
    }
}
