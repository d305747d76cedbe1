//! The keep rules of a recorder, and their limits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    held_bytes::HeldBytes, held_trace::HeldTrace, live_rules::LiveRules, live_traces::LiveTraces,
    rate_limit::RateLimit, rules::Keep, span_results::Decision,
};
use crate::budget::Budget;

/// The maximum number of bytes of the spans of all held traces.
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// The maximum number of open roots whose bytes do not count, because the children of their traces were dropped.
const ROOTS: usize = 32 * 1024;

/// The age from which the children of a trace are dropped if other traces need the memory.
const OLD: Duration = Duration::from_secs(5);

/// The keep rules of a recorder, and their limits. `T` is an ended span.
#[derive(Debug)]
pub(crate) struct Keeper<T> {
    rules: LiveRules,
    created: Instant,
    rate: RateLimit,
    pub(super) bytes: Arc<HeldBytes>,
    pub(super) live: LiveTraces<T>,
    /// The places of roots whose bytes do not count.
    pub(super) roots: Budget,
}

impl<T> Keeper<T> {
    pub(crate) fn new(rules: Option<Keep>) -> Self {
        Self {
            rules: LiveRules::new(rules),
            created: Instant::now(),
            rate: RateLimit::default(),
            bytes: Arc::new(HeldBytes::new(ALL_BYTES)),
            live: LiveTraces::new(),
            roots: Budget::new(ROOTS, 1),
        }
    }

    pub(crate) const fn rules(&self) -> &LiveRules {
        &self.rules
    }

    /// Decides about a root with this duration.
    pub(super) fn decide(
        &self,
        is_marked: bool,
        has_failed: bool,
        duration: impl Fn() -> Duration,
    ) -> Decision {
        match self.rules.reason(is_marked, has_failed, duration) {
            None => Decision::Discarded,
            Some((reason, per_second)) => {
                match self.rate.allows(self.created.elapsed(), per_second) {
                    true => Decision::Kept(reason),
                    false => Decision::Limited,
                }
            }
        }
    }

    /// Returns the open traces older than [`OLD`].
    pub(super) fn take_old(&self) -> Vec<Arc<HeldTrace<T>>> {
        let before = Instant::now().checked_sub(OLD);
        before.map_or_else(Vec::new, |before| self.live.take_old(before))
    }
}
