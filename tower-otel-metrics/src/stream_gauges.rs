//! The gauges of open streams.

use std::{fmt, sync::OnceLock};

use crate::handle_cache::{HandleCache, Query};

/// The gauges of open streams by their key, and one for streams beyond the series limit. The table is allocated for the first
/// stream.
pub(crate) struct StreamGauges<K, G> {
    limit: usize,
    by_key: OnceLock<HandleCache<K, G>>,
    overflow: OnceLock<G>,
}

impl<K, G: Clone> StreamGauges<K, G> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            by_key: OnceLock::new(),
            overflow: OnceLock::new(),
        }
    }

    /// Returns the gauge of a key. `make` creates it. Without a key, or if there is no room for it, returns the gauge of the
    /// overflow series.
    pub(crate) fn get<Q>(&self, key: Option<&Q>, make: impl Fn(Option<&Q>) -> G) -> G
    where
        Q: Query<Key = K>,
    {
        let by_key = self.by_key.get_or_init(|| HandleCache::new(self.limit));
        let known = key.and_then(|key| by_key.get_or_insert_with(key, |_| make(Some(key))));
        known
            .unwrap_or_else(|| self.overflow.get_or_init(|| make(None)))
            .clone()
    }
}

impl<K, G> fmt::Debug for StreamGauges<K, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGauges")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
