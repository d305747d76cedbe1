//! The delay before a request is sent again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(250);
const MAX: Duration = Duration::from_secs(5);

/// Exponential delays with jitter, so that the processes of a service do not retry at the same time.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// Returns the next delay: a random time between half and all of a delay that doubles, but at least the time that the
    /// collector requests.
    pub(crate) fn delay(&mut self, requested: Option<Duration>) -> Duration {
        let half = self.next / 2;
        self.next = self.next.saturating_mul(2).min(MAX);
        let delay = half + half.mul_f64(random());
        requested.map_or(delay, |requested| requested.max(delay))
    }
}

/// Returns a random number from 0 to 1. Each `RandomState` has different keys.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_maximum_and_differ() {
        let mut first = Vec::new();
        for _ in 0..50 {
            let mut backoff = Backoff::new();
            let mut limit = FIRST;
            for attempt in 0..10 {
                let delay = backoff.delay(None);
                assert!(
                    delay >= limit / 2 && delay <= limit,
                    "{delay:?} of {limit:?}"
                );
                limit = (limit * 2).min(MAX);
                if attempt == 0 {
                    first.push(delay);
                }
            }
        }
        first.sort();
        first.dedup();
        assert!(first.len() > 10, "{first:?}");
    }

    #[test]
    fn a_collector_may_ask_for_more() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Backoff::new().delay(Some(hour)), hour);
        assert!(Backoff::new().delay(Some(Duration::ZERO)) >= FIRST / 2);
    }
}
