//! Numbers that each thread changes in memory of its own, and that a scrape adds up.

use std::{
    array, iter,
    sync::{Arc, PoisonError},
};

use crate::{
    sync::{
        CELLS, Mutex, OnceLock, THREADS,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread_index,
};

/// The index of a cell in its chunk. Has as many values as a chunk has cells, so no index is too large.
type CellIndex = u8;

/// The number of cells in a cache line.
const CELLS_PER_LINE: usize = 8;

/// The maximum number of cells of a short range.
const SHORT: usize = CELLS_PER_LINE / 2;

/// The maximum size of the chunks of all threads, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// The number of chunks in [`MAX_BYTES`].
const MAX_CHUNKS: usize = MAX_BYTES / size_of::<Chunk>();

/// The cells of one series: a range of a group.
///
/// A thread changes its own cells with a load and a store, because no other thread writes them. The index of a thread that
/// has ended, and so its chunks, pass to another thread through a lock. The values stay: they still count.
pub(crate) struct Cells {
    group: Arc<Group>,
    first: CellIndex,
}

/// The cells of several series, in one chunk for each thread that changes one of them.
struct Group {
    /// The chunks by the index of their thread. Each is allocated by its thread.
    threads: [OnceLock<Box<Chunk>>; THREADS],
    /// The chunk of all other threads, which change it with locked instructions.
    shared: OnceLock<Box<Chunk>>,
    budget: Arc<ChunkBudget>,
}

/// The cells of a thread in a group.
#[repr(align(64))]
struct Chunk([AtomicU64; CELLS]);

/// The number of chunks that threads may still allocate.
struct ChunkBudget(AtomicUsize);

/// Allocates the cells of all series of a registry. A range is on as few cache lines as possible.
pub(crate) struct CellAllocator {
    next: Mutex<NextCells>,
    budget: Arc<ChunkBudget>,
}

/// The group of the next range, and the number of its cells that are used. Short and long ranges have different groups, so
/// that the lines of long ones are filled.
#[derive(Default)]
struct NextCells {
    short: Option<(Arc<Group>, usize)>,
    long: Option<(Arc<Group>, usize)>,
}

/// The cells of a series that the current thread changes.
#[derive(Clone, Copy)]
pub(crate) struct ThreadCells<'a> {
    chunk: &'a Chunk,
    first: CellIndex,
    is_shared: bool,
}

impl Cells {
    /// The maximum number of cells of a series.
    pub(crate) const MAX: usize = CELLS;

    /// Returns the size of cells in bytes, with those that threads share and without those of single threads.
    pub(crate) const fn size(cells: usize) -> usize {
        let cells = match cells {
            0..=SHORT => cells,
            _ => cells.next_multiple_of(CELLS_PER_LINE),
        };
        cells * (size_of::<AtomicU64>() + size_of::<Group>().div_ceil(CELLS))
    }

    /// Returns the cells of this thread. Returns `None` before the thread's first change.
    #[inline]
    pub(crate) fn own(&self) -> Option<ThreadCells<'_>> {
        let own = self.group.threads.get(thread_index::current())?;
        Some(self.in_chunk(own.get()?, false))
    }

    /// Returns the cells of this thread, or those that all threads without cells share.
    #[cold]
    pub(crate) fn own_or_shared(&self) -> ThreadCells<'_> {
        let own = thread_index::claim().and_then(|index| self.group.threads.get(index));
        match own.and_then(|own| self.group.chunk_of_thread(own)) {
            Some(chunk) => self.in_chunk(chunk, false),
            None => self.in_chunk(self.group.shared.get_or_init(Box::default), true),
        }
    }

    /// Adds to a cell of this thread. The value wraps.
    #[inline]
    pub(crate) fn add(&self, cell: CellIndex, amount: u64) {
        match self.own() {
            Some(cells) => cells.add(cell, amount),
            None => self.add_first(cell, amount),
        }
    }

    #[cold]
    #[inline(never)]
    fn add_first(&self, cell: CellIndex, amount: u64) {
        self.own_or_shared().add(cell, amount);
    }

    #[inline]
    fn in_chunk<'a>(&self, chunk: &'a Chunk, is_shared: bool) -> ThreadCells<'a> {
        ThreadCells {
            chunk,
            first: self.first,
            is_shared,
        }
    }

    /// Returns the values that the threads have in a cell, always in the same order. If a value includes a change, a later call
    /// returns every change that happened before it.
    pub(crate) fn values(&self, cell: CellIndex) -> impl Iterator<Item = u64> {
        let threads = self.group.threads.iter().take(thread_index::count());
        let chunks = iter::once(&self.group.shared).chain(threads);
        let chunks = chunks.filter_map(OnceLock::get);
        chunks.map(move |chunk| chunk.cell(self.first.wrapping_add(cell)).load(Acquire))
    }

    /// Returns the sum of the values that the threads have in a cell. It wraps.
    pub(crate) fn sum(&self, cell: CellIndex) -> u64 {
        self.values(cell).fold(0, u64::wrapping_add)
    }
}

impl ThreadCells<'_> {
    /// Changes a cell.
    #[inline]
    pub(crate) fn update(self, cell: CellIndex, change: impl Fn(u64) -> u64) {
        let cell = self.chunk.cell(self.first.wrapping_add(cell));
        if self.is_shared {
            let _ = cell.fetch_update(Release, Relaxed, |value| Some(change(value)));
        } else {
            cell.store(change(cell.load(Relaxed)), Release);
        }
    }

    /// Adds to a cell. The value wraps.
    #[inline]
    pub(crate) fn add(self, cell: CellIndex, amount: u64) {
        self.update(cell, |value| value.wrapping_add(amount));
    }
}

impl Group {
    fn new(budget: Arc<ChunkBudget>) -> Self {
        Self {
            threads: array::from_fn(|_| OnceLock::new()),
            shared: OnceLock::new(),
            budget,
        }
    }

    /// Returns the chunk of the current thread, whose place is `own`. Returns `None` if all threads together use too
    /// many bytes.
    fn chunk_of_thread<'a>(&self, own: &'a OnceLock<Box<Chunk>>) -> Option<&'a Chunk> {
        if own.get().is_none() && !self.budget.take() {
            return None;
        }
        Some(own.get_or_init(Box::default))
    }
}

impl Chunk {
    #[inline]
    fn cell(&self, index: CellIndex) -> &AtomicU64 {
        let [first, ..] = &self.0;
        self.0.get(usize::from(index)).unwrap_or(first)
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl ChunkBudget {
    fn take(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

impl CellAllocator {
    /// Returns an allocator whose threads allocate at most this many chunks.
    pub(crate) fn with_chunks(chunks: usize) -> Self {
        Self {
            next: Mutex::default(),
            budget: Arc::new(ChunkBudget(AtomicUsize::new(chunks))),
        }
    }

    /// Returns cells for a series, which are never freed. All are zero.
    pub(crate) fn allocate(&self, cells: usize) -> Cells {
        debug_assert!(cells <= Cells::MAX);
        let is_long = cells > SHORT;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if is_long {
            &mut next.long
        } else {
            &mut next.short
        };
        if let Some((group, used)) = next {
            let mut first = *used;
            if first % CELLS_PER_LINE + cells > CELLS_PER_LINE {
                first = first.next_multiple_of(CELLS_PER_LINE);
            }
            if first + cells <= CELLS
                && let Ok(index) = CellIndex::try_from(first)
            {
                *used = first + cells;
                let group = Arc::clone(group);
                return Cells {
                    group,
                    first: index,
                };
            }
        }
        let group = Arc::new(Group::new(Arc::clone(&self.budget)));
        *next = Some((Arc::clone(&group), cells));
        Cells { group, first: 0 }
    }
}

impl Default for CellAllocator {
    fn default() -> Self {
        Self::with_chunks(MAX_CHUNKS)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    fn chunks(cells: &Cells) -> usize {
        let threads = cells.group.threads.iter();
        threads.filter(|chunk| chunk.get().is_some()).count()
    }

    fn indices(length: usize) -> impl Iterator<Item = CellIndex> {
        (0..=CellIndex::MAX).take(length)
    }

    #[test]
    fn only_a_thread_that_records_allocates_cells() {
        let allocator = CellAllocator::default();
        let cells = allocator.allocate(1);
        assert_eq!((cells.sum(0), chunks(&cells)), (0, 0));
        thread::scope(|scope| {
            scope.spawn(|| cells.add(0, 1));
        });
        assert_eq!((cells.sum(0), chunks(&cells)), (1, 1));
        assert!(cells.group.shared.get().is_none());
    }

    #[test]
    fn a_thousand_short_threads_use_the_cells_of_those_before() {
        let allocator = CellAllocator::default();
        let cells = allocator.allocate(1);
        for _ in 0..1_000 {
            thread::scope(|scope| {
                scope.spawn(|| cells.add(0, 1));
            });
        }
        assert_eq!(cells.sum(0), 1_000);
        // Other tests run at the same time.
        assert!(chunks(&cells) < 100, "{}", chunks(&cells));
    }

    #[test]
    fn threads_beyond_the_maximum_of_bytes_share_cells_and_lose_nothing() {
        let allocator = CellAllocator::with_chunks(2);
        let cells = [allocator.allocate(1), allocator.allocate(CELLS)];
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cells.iter().for_each(|cells| cells.add(0, 1));
                    barrier.wait();
                    (0..10_000).for_each(|_| cells.iter().for_each(|cells| cells.add(0, 1)));
                });
            }
        });
        assert_eq!([cells[0].sum(0), cells[1].sum(0)], [40_004; 2]);
        assert_eq!(chunks(&cells[0]) + chunks(&cells[1]), 2);
    }

    #[test]
    fn a_range_is_its_own_and_on_few_lines() {
        let allocator = CellAllocator::default();
        let lengths = [1, 2, 16, 1, 3, 3, 16, 15, 5, 1, CELLS, 9, 1];
        let ranges = lengths.map(|length| (allocator.allocate(length), length));
        for (number, (cells, length)) in ranges.iter().enumerate() {
            let first = usize::from(cells.first);
            let lines = (first + length - 1) / CELLS_PER_LINE - first / CELLS_PER_LINE;
            assert_eq!(lines, (length - 1) / CELLS_PER_LINE, "{number}");
            indices(*length).for_each(|cell| cells.add(cell, 1 << number));
        }
        for (number, (cells, length)) in ranges.iter().enumerate() {
            let mut sums = indices(*length).map(|cell| cells.sum(cell));
            assert!(sums.all(|sum| sum == 1 << number), "{number}");
        }
    }
}
