//! The bytes of the spans of all held traces.

use crate::{
    budget::Budget,
    shards::Shards,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number of bytes that a thread takes at once.
const PORTION: usize = 32 * 1024;

/// The maximum number of bytes that a thread reserves for its next spans.
const MAX_RESERVED: usize = 2 * PORTION;

/// A bounded number of bytes. Each thread reserves some, so that not every span changes a counter that threads share.
/// Bytes that other threads have reserved count as used, until [`release_unused`](Self::release_unused).
#[derive(Debug)]
pub(super) struct HeldBytes {
    budget: Budget,
    reserved: Shards<AtomicUsize>,
}

impl HeldBytes {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes, PORTION.min(bytes / 128)),
            reserved: Shards::new(),
        }
    }

    /// Takes this many bytes. Returns `false` and takes none if fewer are left.
    #[inline]
    pub(super) fn take(&self, thread: usize, bytes: usize) -> bool {
        let Some(reserved) = self.reserved(thread) else {
            return false;
        };
        let take = |reserved: usize| reserved.checked_sub(bytes);
        let is_taken = reserved.fetch_update(Relaxed, Relaxed, take).is_ok();
        is_taken || self.take_portion(reserved, bytes)
    }

    #[inline(never)]
    fn take_portion(&self, reserved: &AtomicUsize, bytes: usize) -> bool {
        let own = reserved.swap(0, Relaxed);
        let portion = self.budget.take(bytes.saturating_sub(own));
        let left = match portion {
            Some(portion) => own + portion.taken - bytes,
            None => own,
        };
        reserved.fetch_add(left, Relaxed);
        portion.is_some()
    }

    /// Frees bytes that were taken, on any thread.
    #[inline]
    pub(super) fn release(&self, thread: usize, bytes: usize) {
        let Some(reserved) = self.reserved(thread) else {
            return;
        };
        let before = reserved.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > MAX_RESERVED {
            self.release_portion(reserved);
        }
    }

    #[inline(never)]
    fn release_portion(&self, reserved: &AtomicUsize) {
        let all = reserved.swap(0, Relaxed);
        let kept = all.min(PORTION);
        reserved.fetch_add(kept, Relaxed);
        self.budget.release(all - kept);
    }

    /// Frees the bytes that threads have reserved and not used.
    pub(super) fn release_unused(&self) {
        for reserved in self.reserved.iter() {
            self.budget.release(reserved.swap(0, Relaxed));
        }
    }

    #[inline]
    fn reserved(&self, thread: usize) -> Option<&AtomicUsize> {
        self.reserved.get(thread).or_else(|| self.reserved.get(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_for_all_threads_together() {
        const SPAN: usize = 2_048;
        for total in [SPAN, 100_000, 16 << 20] {
            let bytes = HeldBytes::new(total);
            for _ in 0..3 {
                let taken = (0..2 * total / SPAN).filter(|n| bytes.take(n % 40, SPAN));
                let taken = taken.count() * SPAN;
                assert!(taken <= total);
                let unused = 40 * (SPAN + PORTION.min(total / 128));
                assert!(taken + unused >= total, "{taken} of {total}");
                for n in 0..taken / SPAN {
                    bytes.release(n % 40, SPAN);
                }
            }
        }
    }

    #[test]
    fn a_thread_that_only_releases_does_not_keep_the_bytes() {
        let bytes = HeldBytes::new(1 << 20);
        for _ in 0..1_000 {
            assert!(bytes.take(0, 10_000));
            bytes.release(1, 10_000);
        }
        assert!(bytes.take(0, (1 << 20) - 2 * MAX_RESERVED));
    }

    #[test]
    fn what_many_threads_have_reserved_can_be_taken_by_one_thread() {
        const ALL: usize = 16 << 20;
        let bytes = HeldBytes::new(ALL);
        for thread in 0..600 {
            if bytes.take(thread, 2_048) {
                bytes.release(thread, 2_048);
            }
        }
        assert!(!bytes.take(600, ALL - PORTION));
        bytes.release_unused();
        assert!(bytes.take(600, ALL));
        bytes.release_unused();
        assert!(!bytes.take(601, 1));
    }
}
