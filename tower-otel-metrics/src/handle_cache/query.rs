//! Borrowed keys.

use std::hash::Hash;

/// A borrowed key. It is hashed and compared for every request. An owned key is created only for a new
/// entry.
pub(crate) trait Query: Hash {
    /// The owned key.
    type Key;

    /// Returns whether `key` is equal to this query.
    fn matches(&self, key: &Self::Key) -> bool;

    /// Returns the owned key.
    fn to_key(&self) -> Self::Key;
}
