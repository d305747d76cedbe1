//! A growing list with one place for each thread.

use std::{array, sync::PoisonError};

use crate::sync::{FIRST_BLOCK, Mutex, OnceLock};

/// The number of blocks. Each block has twice as many places as the previous one.
const BLOCKS: usize = 20;

/// Places for `T`, created in blocks when a thread first needs one.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    blocks: [Block<T>; BLOCKS],
    growing: Mutex<()>,
}

type Block<T> = OnceLock<Box<[Padded<T>]>>;

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A value alone on its cache lines, because other threads use its neighbors.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T: Default> Shards<T> {
    pub(crate) fn new() -> Self {
        Self {
            blocks: array::from_fn(|_| OnceLock::new()),
            growing: Mutex::new(()),
        }
    }

    /// Returns the place of a thread. Returns `None` for indices from 16 million on.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        // Mostly a place of the first block.
        let first = self.blocks.first().and_then(OnceLock::get);
        if let Some(place) = first.and_then(|places| places.get(index)) {
            return Some(&place.0);
        }
        self.get_in_blocks(index)
    }

    /// Returns the place of a thread. Returns `None` if its block was not created.
    #[inline]
    pub(crate) fn find(&self, index: usize) -> Option<&T> {
        // Mostly a place of the first block.
        let first = self.blocks.first().and_then(OnceLock::get);
        if let Some(place) = first.and_then(|places| places.get(index)) {
            return Some(&place.0);
        }
        self.find_in_blocks(index)
    }

    #[inline(never)]
    fn get_in_blocks(&self, index: usize) -> Option<&T> {
        let (block, size) = self.block(index)?;
        let places = match block.get() {
            Some(places) => places,
            None => self.grow(block, size),
        };
        Some(&places.get(index + FIRST_BLOCK - size)?.0)
    }

    #[inline(never)]
    fn find_in_blocks(&self, index: usize) -> Option<&T> {
        let (block, size) = self.block(index)?;
        Some(&block.get()?.get(index + FIRST_BLOCK - size)?.0)
    }

    /// Returns the block of a place and its size.
    #[inline]
    fn block(&self, index: usize) -> Option<(&Block<T>, usize)> {
        let place = index.checked_add(FIRST_BLOCK)?;
        let block = (place / FIRST_BLOCK).ilog2();
        let size = FIRST_BLOCK.checked_shl(block)?;
        Some((self.blocks.get(usize::try_from(block).ok()?)?, size))
    }

    #[cold]
    fn grow<'a>(&self, block: &'a Block<T>, size: usize) -> &'a [Padded<T>] {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        block.get_or_init(|| (0..size).map(|_| Padded::default()).collect())
    }

    /// Returns the places of all blocks. A thread whose block is created after this call sees everything that happened
    /// before the call.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        drop(self.growing.lock().unwrap_or_else(PoisonError::into_inner));
        let blocks = self.blocks.iter().filter_map(OnceLock::get);
        blocks.flat_map(|places| places.iter().map(|place| &place.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn every_index_has_a_place_of_its_own() {
        const THREADS: usize = 1_000;
        let shards = Shards::<AtomicUsize>::new();
        // Blocks can be created in any order.
        for index in (0..THREADS).rev() {
            shards.get(index).unwrap().fetch_add(index + 1, Relaxed);
        }
        let mut values: Vec<_> = shards.iter().map(|value| value.load(Relaxed)).collect();
        values.retain(|value| *value > 0);
        assert_eq!(values, (1..=THREADS).collect::<Vec<_>>());
    }

    #[test]
    fn an_index_that_is_too_large_has_no_place() {
        let shards = Shards::<usize>::new();
        assert!(shards.get(usize::MAX).is_none());
        assert!(shards.get(1 << 40).is_none());
    }
}
