//! A counter that threads increment without sharing memory.

use metrics::CounterFn;

use crate::{
    cells::{CellAllocator, Cells},
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
};

/// A counter that loses no increment. Its value wraps.
pub(crate) struct AtomicCounter {
    cells: Cells,
    /// What [`absolute`](CounterFn::absolute) adds to the cells.
    base: AtomicU64,
}

impl AtomicCounter {
    pub(crate) fn new(cells: &CellAllocator) -> Self {
        Self {
            cells: cells.allocate(1),
            base: AtomicU64::new(0),
        }
    }

    /// Returns the size of a counter in bytes.
    pub(crate) const fn size() -> usize {
        size_of::<Self>() + Cells::size(1)
    }

    pub(crate) fn value(&self) -> u64 {
        // The base first: it was raised for increments that are then read, too.
        let base = self.base.load(Acquire);
        base.wrapping_add(self.cells.sum(0))
    }
}

impl CounterFn for AtomicCounter {
    fn increment(&self, value: u64) {
        self.cells.add(0, value);
    }

    fn absolute(&self, value: u64) {
        let _ = self.base.fetch_update(AcqRel, Acquire, |base| {
            let cells = self.cells.sum(0);
            (base.wrapping_add(cells) < value).then(|| value.wrapping_sub(cells))
        });
    }
}
