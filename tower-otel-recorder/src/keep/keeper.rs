//! The keep rules of a recorder, and the limits of what they hold and keep.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    held_bytes::HeldBytes,
    held_trace::HeldTrace,
    live_traces::LiveTraces,
    rate_limit::RateLimit,
    rules::{Keep, KeepReason},
};
use crate::budget::Budget;

/// The bytes of the spans of all held traces.
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// The number of open roots without bytes, of traces whose children were dropped.
const ROOTS: usize = 32 * 1024;

/// The age from which on the children of a trace are dropped if others need the memory.
const OLD: Duration = Duration::from_secs(5);

/// The keep rules of a recorder, and their limits. `T` is a span that has ended.
#[derive(Debug)]
pub(crate) struct Keeper<T> {
    rules: Keep,
    created: Instant,
    rate: RateLimit,
    pub(super) bytes: Arc<HeldBytes>,
    pub(super) live: LiveTraces<T>,
    /// The places of roots without bytes.
    pub(super) roots: Budget,
}

impl<T> Keeper<T> {
    pub(crate) fn new(rules: Keep) -> Self {
        Self {
            rules,
            created: Instant::now(),
            rate: RateLimit::new(rules.traces_per_second()),
            bytes: Arc::new(HeldBytes::new(ALL_BYTES)),
            live: LiveTraces::new(),
            roots: Budget::new(ROOTS, 1),
        }
    }

    /// Returns the rule that applies to a root that took so long.
    pub(super) fn reason(
        &self,
        is_marked: bool,
        has_failed: bool,
        duration: impl FnOnce() -> Duration,
    ) -> Option<KeepReason> {
        self.rules.reason(is_marked, has_failed, duration)
    }

    /// Returns the open traces that are old.
    pub(super) fn take_old(&self) -> Vec<Arc<HeldTrace<T>>> {
        let before = Instant::now().checked_sub(OLD);
        before.map_or_else(Vec::new, |before| self.live.take_old(before))
    }

    /// Returns whether one more trace may be kept now.
    pub(super) fn allows(&self) -> bool {
        self.rate.allows(self.created.elapsed())
    }
}
