//! Divides the series of ended exchanges among the upstreams of a client.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of series of ended exchanges that one start key has.
///
/// An upstream answers what it likes: hundreds of status codes. So a key gets at most as many series as are left for
/// all, and no upstream takes those of the others. The first one can take half of the limit.
#[derive(Debug, Default)]
pub(crate) struct OutcomeShare(AtomicUsize);

impl OutcomeShare {
    /// Takes one more series, if the key has fewer than the `left` ones.
    pub(crate) fn take(&self, left: usize) -> bool {
        let take = |taken: usize| (taken < left).then_some(taken + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_finds_series_left_while_others_take_all_they_can() {
        const LIMIT: usize = 2_000;
        let mut taken = 0;
        for (key, expected) in [1_000, 500, 250, 125, 63, 31, 16].into_iter().enumerate() {
            let share = OutcomeShare::default();
            let before = taken;
            while share.take(LIMIT - taken) {
                taken += 1;
            }
            assert_eq!(taken - before, expected, "key {key}");
        }
    }
}
