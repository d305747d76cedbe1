//! The table of entries.

use std::{fmt, sync::PoisonError};

use crate::{
    handle_cache::{
        entry::{Entry, EntryIndex, FoundEntry},
        entry_share::EntryShare,
        hash::Seeds,
        query::Query,
    },
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// The maximum number of slots to search before a key is rejected. At most half of the slots are in use, so the
/// probability that a random key needs more is 2^-32. Keys that are crafted to collide cost 32 integer comparisons and are
/// recorded in the overflow series.
pub(super) const MAX_PROBES: usize = 32;

/// The maximum of `limit`, because slots are allocated in advance.
pub(super) const MAX_LIMIT: usize = 1 << 19;

/// A bounded map from keys to values. Entries are never removed.
pub(crate) struct HandleCache<K, V> {
    slots: Box<[OnceLock<Slot<K, V>>]>,
    seeds: Seeds,
    pub(super) limit: usize,
    /// The number of entries. Written while `insert_lock` is locked.
    len: AtomicUsize,
    insert_lock: Mutex<()>,
    overflowed: AtomicBool,
}

/// A slot. The hash is in the array, so that other keys are skipped without following the pointer.
struct Slot<K, V> {
    hash: u64,
    entry: Box<Entry<K, V>>,
}

enum Probe<'a, K, V> {
    Found(FoundEntry<'a, K, V>),
    Vacant(EntryIndex, &'a OnceLock<Slot<K, V>>),
    /// All searched slots have other keys.
    Crowded,
}

impl<K, V> fmt::Debug for HandleCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandleCache")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<K, V> HandleCache<K, V> {
    /// Creates a cache of at most `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(MAX_LIMIT);
        let slots = (limit * 2).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            seeds: Seeds::random(),
            limit,
            len: AtomicUsize::new(0),
            insert_lock: Mutex::new(()),
            overflowed: AtomicBool::new(false),
        }
    }

    /// Returns the value of `query`, if it was created.
    #[inline]
    pub(crate) fn get<Q>(&self, query: &Q) -> Option<&V>
    where
        Q: Query<Key = K>,
    {
        self.get_with_index(query).map(|(_, value)| value)
    }

    /// Returns the value of `query` and the index of its entry, if the value was created.
    #[inline(always)]
    pub(crate) fn get_with_index<Q>(&self, query: &Q) -> Option<(EntryIndex, &V)>
    where
        Q: Query<Key = K>,
    {
        match self.probe(self.seeds.hash_of(query), query) {
            Probe::Found(FoundEntry { index, entry }) => Some((index, entry.get()?)),
            Probe::Vacant(..) | Probe::Crowded => None,
        }
    }

    /// Returns the entry of `query`. A new entry has no value. Returns `None` if the key is new and
    /// the cache is full.
    #[inline]
    pub(crate) fn find_or_insert<Q>(&self, query: &Q) -> Option<FoundEntry<'_, K, V>>
    where
        Q: Query<Key = K>,
    {
        self.find_or_insert_in(query, None)
    }

    /// Returns the entry of `query`. A new entry has no value, and counts in `share`. Returns `None` if the
    /// key is new and the cache or the share is full.
    #[inline]
    pub(crate) fn find_or_insert_in<Q>(
        &self,
        query: &Q,
        share: Option<&EntryShare>,
    ) -> Option<FoundEntry<'_, K, V>>
    where
        Q: Query<Key = K>,
    {
        let hash = self.seeds.hash_of(query);
        match self.probe(hash, query) {
            Probe::Found(found) => Some(found),
            Probe::Vacant(..) => self.insert(hash, query, share),
            Probe::Crowded => None,
        }
    }

    /// Returns the entry at `index`.
    #[inline]
    pub(crate) fn entry(&self, index: EntryIndex) -> Option<&Entry<K, V>> {
        Some(&self.slots.get(index.slot())?.get()?.entry)
    }

    /// Returns the value of `query`, and creates it if needed. Returns `None` if the key is new
    /// and the cache is full.
    #[inline]
    pub(crate) fn get_or_insert_with<Q>(&self, query: &Q, make: impl FnOnce(&K) -> V) -> Option<&V>
    where
        Q: Query<Key = K>,
    {
        Some(self.find_or_insert(query)?.entry.get_or_init(make))
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Returns `true` exactly once, so that the overflow warning is logged once.
    pub(crate) fn first_overflow(&self) -> bool {
        !self.overflowed.load(Ordering::Relaxed) && !self.overflowed.swap(true, Ordering::Relaxed)
    }

    /// Inserts a key that was not found. A full cache or share rejects it without taking the lock, so the lock
    /// is taken about `limit` times per process.
    #[cold]
    fn insert<Q>(
        &self,
        hash: u64,
        query: &Q,
        share: Option<&EntryShare>,
    ) -> Option<FoundEntry<'_, K, V>>
    where
        Q: Query<Key = K>,
    {
        let is_admitted = || {
            let room = self.limit.saturating_sub(self.len());
            room > 0 && share.is_none_or(|share| share.admits(room))
        };
        if !is_admitted() {
            return None;
        }
        let _guard = self
            .insert_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.probe(hash, query) {
            Probe::Found(found) => Some(found),
            Probe::Vacant(index, slot) if is_admitted() => {
                let entry = Box::new(Entry::new(query.to_key()));
                let slot = slot.get_or_init(|| Slot { hash, entry });
                self.len.fetch_add(1, Ordering::Release);
                if let Some(share) = share {
                    share.inserted();
                }
                let entry = &slot.entry;
                Some(FoundEntry { index, entry })
            }
            Probe::Vacant(..) | Probe::Crowded => None,
        }
    }

    /// Searches the slots of `hash` in a fixed order. An insertion fills the first vacant slot, so a key is never after a
    /// vacant slot.
    #[inline(always)]
    fn probe<Q>(&self, hash: u64, query: &Q) -> Probe<'_, K, V>
    where
        Q: Query<Key = K>,
    {
        // The number of slots is a power of two and the step is odd, so no slot repeats.
        let mask = self.slots.len().wrapping_sub(1);
        let step = (hash >> 32) as usize | 1;
        let mut position = hash as usize;
        for _ in 0..MAX_PROBES.min(self.slots.len()) {
            let slot_index = position & mask;
            let Some(cell) = self.slots.get(slot_index) else {
                break;
            };
            let index = EntryIndex::of_slot(slot_index);
            match cell.get() {
                None => return Probe::Vacant(index, cell),
                Some(slot) if slot.hash == hash && query.matches(&slot.entry.key) => {
                    let entry = &slot.entry;
                    return Probe::Found(FoundEntry { index, entry });
                }
                Some(_) => position = position.wrapping_add(step),
            }
        }
        Probe::Crowded
    }
}
