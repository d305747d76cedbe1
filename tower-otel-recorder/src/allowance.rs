//! The bytes that an open span may have while its trace is held.

use std::{fmt, sync::Arc};

/// The number of bytes that are borrowed at once.
const PORTION: usize = 2 * 1024;

/// Lends bytes to open spans.
pub(crate) trait LendBytes: Send + Sync {
    /// Lends this many bytes. Returns `false` and lends none if fewer are left.
    fn lend(&self, bytes: usize) -> bool;

    /// Takes back bytes that were lent.
    fn take_back(&self, bytes: usize);
}

/// The bytes that an open span may use: a free amount for every span, and borrowed bytes. Borrowed bytes are returned when
/// it is dropped.
pub(crate) struct Allowance {
    lender: Arc<dyn LendBytes>,
    free: usize,
    lent: usize,
}

impl Allowance {
    /// Returns an allowance with the free amount of every span.
    pub(crate) const fn new(lender: Arc<dyn LendBytes>, free: usize) -> Self {
        Self {
            lender,
            free,
            lent: 0,
        }
    }

    /// Returns the number of bytes that are allowed without borrowing more.
    pub(crate) const fn allowed(&self) -> usize {
        self.free + self.lent
    }

    /// Returns whether this many bytes are allowed. Borrows more if needed.
    #[inline]
    pub(crate) fn allows(&mut self, bytes: usize) -> bool {
        let missing = bytes.saturating_sub(self.allowed());
        missing == 0 || self.borrow(missing)
    }

    #[inline(never)]
    fn borrow(&mut self, missing: usize) -> bool {
        let mut portions = [missing.max(PORTION), missing].into_iter();
        let lent = portions.find(|bytes| self.lender.lend(*bytes));
        self.lent += lent.unwrap_or_default();
        lent.is_some()
    }

    /// Returns borrowed bytes, so that this many are allowed.
    pub(crate) fn reduce(&mut self, allowed: usize) {
        let surplus = self.allowed().saturating_sub(allowed).min(self.lent);
        if surplus > 0 {
            self.lent -= surplus;
            self.lender.take_back(surplus);
        }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        if self.lent > 0 {
            self.lender.take_back(self.lent);
        }
    }
}

impl fmt::Debug for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allowance")
            .field("free", &self.free)
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    struct Lender(AtomicUsize);

    impl LendBytes for Lender {
        fn lend(&self, bytes: usize) -> bool {
            let left = |left: usize| left.checked_sub(bytes);
            self.0.fetch_update(Relaxed, Relaxed, left).is_ok()
        }

        fn take_back(&self, bytes: usize) {
            self.0.fetch_add(bytes, Relaxed);
        }
    }

    #[test]
    fn bytes_are_lent_in_portions_and_given_back() {
        let lender = Arc::new(Lender(AtomicUsize::new(5_000)));
        let left = || lender.0.load(Relaxed);
        let mut allowance = Allowance::new(Arc::clone(&lender) as _, 100);
        assert!(allowance.allows(100));
        assert_eq!(left(), 5_000);
        assert!(allowance.allows(101));
        assert_eq!(left(), 5_000 - PORTION);
        assert!(allowance.allows(100 + PORTION));
        assert_eq!(left(), 5_000 - PORTION);
        assert!(!allowance.allows(5_101));
        assert!(allowance.allows(5_100));
        assert_eq!((left(), allowance.allowed()), (0, 5_100));
        allowance.reduce(6_000);
        assert_eq!(left(), 0);
        allowance.reduce(3_100);
        assert_eq!((left(), allowance.allowed()), (2_000, 3_100));
        allowance.reduce(0);
        assert_eq!((left(), allowance.allowed()), (5_000, 100));
        drop(allowance);
        assert_eq!(left(), 5_000);
    }
}
