//! Finds the place of a trace by its id.
//!
//! The table has 4 KiB and does not store the ids, so it stays in the cache of the processor while the export thread adds the
//! spans of a batch. A look-up in a `HashMap` of the same traces reads memory that is in no cache.

use std::hash::{BuildHasher, RandomState};
use std::iter;
use std::num::NonZeroU16;

use opentelemetry::trace::TraceId;

use crate::page::trace_ring::MAX_TRACES;

/// The number of entries. At most half of them are used, so that a look-up ends soon.
const ENTRIES: usize = 1024;

const _: () = assert!(MAX_TRACES < ENTRIES / 2);

/// A hash table with linear probing.
#[derive(Debug)]
pub(crate) struct TraceIndex {
    /// Random, so that a client that chooses trace ids cannot choose their hashes.
    seeds: [u64; 2],
    entries: Box<[Option<Entry>; ENTRIES]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u16,
    /// The place and 1, so that an `Option` has four bytes.
    place: NonZeroU16,
}

impl Entry {
    fn new(hash: u16, place: usize) -> Option<Self> {
        let place = u16::try_from(place + 1).ok().and_then(NonZeroU16::new)?;
        Some(Self { hash, place })
    }

    fn place(self) -> usize {
        usize::from(self.place.get()) - 1
    }

    /// Returns the index at which a look-up of this entry starts.
    fn home(self) -> usize {
        usize::from(self.hash) % ENTRIES
    }
}

impl Default for TraceIndex {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            seeds: [0, 1].map(|seed: u64| random.hash_one(seed)),
            entries: Box::new([None; ENTRIES]),
        }
    }
}

/// Returns how far `to` is behind `from`.
const fn distance(from: usize, to: usize) -> usize {
    to.wrapping_sub(from) % ENTRIES
}

impl TraceIndex {
    fn hash(&self, id: TraceId) -> u16 {
        let [first, second] = self.seeds;
        let id = u128::from_be_bytes(id.to_bytes());
        let product = u128::from(id as u64 ^ first) * u128::from((id >> 64) as u64 ^ second);
        let folded = product as u64 ^ (product >> 64) as u64;
        (folded >> 32) as u16
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        self.entries.get(index).copied().flatten()
    }

    fn set(&mut self, index: usize, entry: Option<Entry>) {
        if let Some(place) = self.entries.get_mut(index) {
            *place = entry;
        }
    }

    /// Returns the entries from a hash on, with their indices, up to the first index without one.
    fn entries_from(&self, hash: u16) -> impl Iterator<Item = (usize, Entry)> {
        let start = usize::from(hash) % ENTRIES;
        let at = move |index| Some((index, self.entry(index)?));
        iter::successors(at(start), move |(index, _)| at((index + 1) % ENTRIES))
    }

    /// Returns the place of a trace, for which `is_trace` returns `true`.
    pub(crate) fn get(&self, id: TraceId, is_trace: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = self.hash(id);
        let mut entries = self.entries_from(hash);
        let is_found = |entry: &Entry| entry.hash == hash && is_trace(entry.place());
        let (_, found) = entries.find(|(_, entry)| is_found(entry))?;
        Some(found.place())
    }

    /// Adds a trace that is not in the table. At most [`MAX_TRACES`] and another one are in the table.
    pub(crate) fn insert(&mut self, id: TraceId, place: usize) {
        let hash = self.hash(id);
        let used = self.entries_from(hash).count();
        let index = (usize::from(hash) + used) % ENTRIES;
        self.set(index, Entry::new(hash, place));
    }

    /// Removes the trace at a place.
    pub(crate) fn remove(&mut self, id: TraceId, place: usize) {
        let mut entries = self.entries_from(self.hash(id));
        let Some((mut hole, _)) = entries.find(|(_, entry)| entry.place() == place) else {
            return;
        };
        drop(entries);
        let mut next = hole;
        loop {
            next = (next + 1) % ENTRIES;
            let Some(entry) = self.entry(next) else { break };
            // An entry may move back as far as to its home.
            if distance(entry.home(), next) >= distance(hole, next) {
                self.set(hole, Some(entry));
                hole = next;
            }
        }
        self.set(hole, None);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_table_has_four_kibibytes() {
        assert_eq!(size_of::<[Option<Entry>; ENTRIES]>(), 4 << 10);
    }

    #[test]
    fn a_trace_is_found_until_it_is_removed_even_if_hashes_are_equal() {
        let random = RandomState::new();
        let mut index = TraceIndex {
            // Ids of less than 64 bits then have the same hash.
            seeds: [0x9e37_79b9_7f4a_7c15, 0],
            ..TraceIndex::default()
        };
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        let mut ids = Vec::new();
        for place in 0..10_000 {
            let number = random.hash_one(place);
            let is_random = u128::from(number % 3 != 0);
            let id = TraceId::from(u128::from(number) << (64 * is_random) | u128::from(number));
            if ids.len() > MAX_TRACES {
                let removed: TraceId = ids.swap_remove(place % ids.len());
                let place = places.remove(&removed);
                index.remove(removed, place.unwrap_or_default());
                assert_eq!(index.get(removed, |found| Some(found) == place), None);
            }
            index.insert(id, place);
            places.insert(id, place);
            ids.push(id);
        }
        for (id, place) in &places {
            assert_eq!(index.get(*id, |found| found == *place), Some(*place));
        }
        let used = index.entries.iter().flatten().count();
        assert_eq!(used, places.len());
    }
}
