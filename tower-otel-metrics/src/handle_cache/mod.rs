//! A bounded cache of the recorder's handles. Reading it takes no lock and does not allocate.
//!
//! Building owned labels and registering a series costs about a microsecond and several allocations.
//! This happens once per key. Afterwards a lookup with borrowed parts of the key (method, route,
//! status) is one hash, one or two array slots and one comparison.
//!
//! The cache is bounded because parts of a key come from the network. An entry is never removed, so
//! a handle can also be cached elsewhere. When the limit is reached, new keys are rejected, and the
//! caller records them in an overflow series.

mod cache;
mod entry;
mod entry_share;
mod hash;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use cache::HandleCache;
pub(crate) use entry::{EntryIndex, FoundEntry};
pub(crate) use entry_share::EntryShare;
pub(crate) use query::Query;
