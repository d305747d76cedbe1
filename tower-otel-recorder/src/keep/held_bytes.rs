//! The bytes of the spans of all held traces.

use std::{mem, sync::PoisonError};

use crate::{
    budget::Budget,
    shards::Shards,
    sync::{Mutex, MutexGuard},
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
    reserved: Shards<Mutex<usize>>,
}

impl HeldBytes {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes, PORTION.min(bytes / 128)),
            reserved: Shards::new(),
        }
    }

    /// Takes this many bytes. Returns `false` and takes none if fewer are left.
    pub(super) fn take(&self, thread: usize, bytes: usize) -> bool {
        let Some(reserved) = self.reserved(thread) else {
            return false;
        };
        let mut reserved = lock(reserved);
        if *reserved < bytes {
            let Some(portion) = self.budget.take(bytes - *reserved) else {
                return false;
            };
            *reserved += portion.taken;
        }
        *reserved -= bytes;
        true
    }

    /// Frees bytes that were taken, on any thread.
    pub(super) fn release(&self, thread: usize, bytes: usize) {
        let Some(reserved) = self.reserved(thread) else {
            return;
        };
        let mut reserved = lock(reserved);
        *reserved = reserved.saturating_add(bytes);
        let over = reserved.saturating_sub(MAX_RESERVED);
        if over > 0 {
            *reserved = PORTION;
            self.budget.release(over + (MAX_RESERVED - PORTION));
        }
    }

    /// Frees the bytes that threads have reserved and not used.
    pub(super) fn release_unused(&self) {
        for reserved in self.reserved.iter() {
            let unused = mem::take(&mut *lock(reserved));
            self.budget.release(unused);
        }
    }

    fn reserved(&self, thread: usize) -> Option<&Mutex<usize>> {
        self.reserved.get(thread).or_else(|| self.reserved.get(0))
    }
}

fn lock(reserved: &Mutex<usize>) -> MutexGuard<'_, usize> {
    reserved.lock().unwrap_or_else(PoisonError::into_inner)
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
