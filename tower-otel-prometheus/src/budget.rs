//! Bounds the memory of all series.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The maximum size of all series with their labels, in bytes.
const LIMIT: usize = 128 << 20;

/// The memory used by all series of a recorder, in bytes. Series are never removed, so it only grows.
#[derive(Debug)]
pub(crate) struct SeriesBudget {
    limit: usize,
    used: AtomicUsize,
    has_warned: AtomicBool,
}

impl Default for SeriesBudget {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl SeriesBudget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Returns whether at least this many bytes are left.
    pub(crate) fn has(&self, bytes: usize) -> bool {
        self.used.load(Relaxed).saturating_add(bytes) <= self.limit
    }

    /// Takes bytes if at least this many are left. Returns whether it did.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let take = |used: usize| {
            let used = used.saturating_add(bytes);
            (used <= self.limit).then_some(used)
        };
        self.used.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Warns once that a series was refused. Call it without a lock: a subscriber may record metrics
    /// itself.
    #[cold]
    pub(crate) fn warn_exhausted(&self, metric: &str) {
        if !self.has_warned.swap(true, Relaxed) {
            tracing::warn!(
                metric,
                limit = self.limit,
                "the limit of bytes for all series is reached: values with new labels are recorded in the series with otel_metric_overflow=\"true\", and metrics with new names are not recorded"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_up_to_the_limit() {
        let budget = SeriesBudget::new(10);
        assert!(budget.take(6));
        assert!(!budget.take(5));
        assert!(!budget.take(usize::MAX));
        assert!(budget.has(4) && !budget.has(5) && !budget.has(usize::MAX));
        assert!(budget.take(4));
        assert!(!budget.take(1));
    }
}
