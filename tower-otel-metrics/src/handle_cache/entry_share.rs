//! Divides the entries of a cache among those that cause them.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// The number of entries that one cause has inserted, such as the answers of one upstream.
///
/// An upstream can answer with hundreds of status codes. A share therefore gets at most as many entries as are left
/// for all, so that one upstream does not take the entries of the others. The first share can take half of the cache.
#[derive(Debug)]
pub(crate) struct EntryShare {
    limit: usize,
    taken: AtomicUsize,
}

impl EntryShare {
    /// Creates a share of at most `limit` entries.
    pub(crate) fn up_to(limit: usize) -> Self {
        Self {
            limit,
            taken: AtomicUsize::new(0),
        }
    }

    /// Returns whether the share may have one more entry of a cache that has `room` for so many.
    pub(super) fn admits(&self, room: usize) -> bool {
        self.taken.load(Ordering::Relaxed) < self.limit.min(room)
    }

    /// Counts an entry. Called with the insert lock of the cache locked.
    pub(super) fn inserted(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}
