//! The keep rules of a recorder, and the limits of what they hold and keep.

use std::time::{Duration, Instant};

use super::{
    held_bytes::HeldBytes,
    rate_limit::RateLimit,
    rules::{Keep, KeepReason},
};

/// The bytes of the spans of all held traces.
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// The keep rules of a recorder, and what bounds them.
#[derive(Debug)]
pub(crate) struct Keeper {
    rules: Keep,
    created: Instant,
    rate: RateLimit,
    pub(super) bytes: HeldBytes,
}

impl Keeper {
    pub(crate) fn new(rules: Keep) -> Self {
        Self {
            rules,
            created: Instant::now(),
            rate: RateLimit::new(rules.traces_per_second()),
            bytes: HeldBytes::new(ALL_BYTES),
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

    /// Returns whether one more trace may be kept now.
    pub(super) fn allows(&self) -> bool {
        self.rate.allows(self.created.elapsed())
    }
}
