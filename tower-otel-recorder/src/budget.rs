//! A bounded amount that threads take in portions.

use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A bounded amount. A thread takes more than it needs at once, so that not every span changes a counter that threads
/// share. Amounts that other threads have taken and not used count as used.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    portion: usize,
    free: AtomicUsize,
}

/// The amount that a thread has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    pub(crate) taken: usize,
    /// The amount that all threads have taken.
    pub(crate) used: usize,
}

impl Budget {
    pub(crate) fn new(total: usize, portion: usize) -> Self {
        Self {
            total,
            portion,
            free: AtomicUsize::new(total),
        }
    }

    /// Takes a portion of at least `needed`. Returns `None` and takes nothing if less than `needed` is free.
    pub(crate) fn take(&self, needed: usize) -> Option<Portion> {
        let portion = needed.max(self.portion);
        let take = |free: usize| (free >= needed).then(|| free.saturating_sub(portion));
        let free = self.free.fetch_update(Relaxed, Relaxed, take).ok()?;
        let taken = free.min(portion);
        let used = self.total - (free - taken);
        Some(Portion { taken, used })
    }

    /// Frees an amount that was taken.
    pub(crate) fn release(&self, amount: usize) {
        if amount > 0 {
            self.free.fetch_add(amount, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_what_is_needed_at_least_and_what_is_free_at_most() {
        let budget = Budget::new(20, 8);
        let portion = |taken, used| Some(Portion { taken, used });
        assert_eq!(budget.take(1), portion(8, 8));
        assert_eq!(budget.take(9), portion(9, 17));
        assert_eq!(budget.take(4), None);
        assert_eq!(budget.take(3), portion(3, 20));
        assert_eq!(budget.take(1), None);
        assert_eq!(budget.take(0), portion(0, 20));
        budget.release(3);
        assert_eq!(budget.take(1), portion(3, 20));
    }

    #[test]
    fn an_amount_without_a_bound_does_not_overflow() {
        let budget = Budget::new(usize::MAX, usize::MAX);
        assert!(budget.take(1).is_some());
        budget.release(usize::MAX);
        assert!(budget.take(usize::MAX).is_some());
    }
}
