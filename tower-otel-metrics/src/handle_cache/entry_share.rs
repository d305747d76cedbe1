//! Divides the entries of a cache among their causes.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// The number of entries that one cause has inserted, such as the responses of one upstream.
///
/// An upstream can respond with hundreds of status codes. So a share takes an entry only while it has fewer entries than are
/// free, and one upstream cannot take the entries of the others. The first share can take half of the cache.
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

    /// Returns whether the share may have one more entry. `room` is the number of free entries of the cache.
    pub(super) fn admits(&self, room: usize) -> bool {
        self.taken.load(Ordering::Relaxed) < self.limit.min(room)
    }

    /// Counts an entry. Called while the insert lock of the cache is locked.
    pub(super) fn inserted(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}
