//! Entries and their positions.

use std::num::NonZeroU32;

use crate::sync::OnceLock;

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    /// Set after the entry is visible, so that creating the value does not block other keys.
    value: OnceLock<V>,
}

/// The position of an entry. It does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryIndex(NonZeroU32);

/// An entry and its position.
#[derive(Debug)]
pub(crate) struct FoundEntry<'a, K, V> {
    pub(crate) index: EntryIndex,
    pub(crate) entry: &'a Entry<K, V>,
}

impl EntryIndex {
    /// Returns the index of a slot. There are at most 2^20 slots.
    pub(super) fn of_slot(slot: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(slot as u32))
    }

    pub(super) fn slot(self) -> usize {
        self.0.get() as usize - 1
    }

    /// Returns the index as a number, for hashes. It is never zero.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }
}

impl<K, V> Entry<K, V> {
    pub(super) fn new(key: K) -> Self {
        Self {
            key,
            value: OnceLock::new(),
        }
    }

    /// Returns the value, if it was created.
    #[inline]
    pub(crate) fn get(&self) -> Option<&V> {
        self.value.get()
    }

    /// Returns the value, and creates it if needed.
    ///
    /// `make` runs once per key; other threads wait for it. If it panics, the next caller runs it
    /// again. It must not request the value of the same key.
    #[inline]
    pub(crate) fn get_or_init(&self, make: impl FnOnce(&K) -> V) -> &V {
        self.value.get_or_init(|| make(&self.key))
    }
}
