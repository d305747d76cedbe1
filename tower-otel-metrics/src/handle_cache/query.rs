//! Borrowed keys.

use std::hash::Hash;

/// A borrowed key. It is hashed and compared for every request; an owned key is made only for a new
/// entry.
pub(crate) trait Query: Hash {
    /// The owned key.
    type Key;

    /// Whether `key` is equal to this query.
    fn matches(&self, key: &Self::Key) -> bool;

    /// Makes the owned key.
    fn to_key(&self) -> Self::Key;
}
