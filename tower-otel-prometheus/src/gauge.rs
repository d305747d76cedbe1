//! A gauge that threads increment and decrement without sharing memory.

use std::mem;

use metrics::GaugeFn;

use crate::{
    cells::{CellAllocator, Cells},
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
};

/// A gauge that loses no change.
///
/// The cells have the sums of whole amounts. The base has everything else, so a gauge that is only set, or only changed by
/// whole amounts, is exact.
pub(crate) struct AtomicGauge {
    /// What was added, and what was subtracted.
    cells: Cells,
    /// The bits of an `f64`: what [`set`](GaugeFn::set) and fractional amounts add to the cells.
    base: AtomicU64,
}

/// The maximum number of times that a value is read while it is subtracted from.
const MAX_READS: usize = 8;

const ADDED: u8 = 0;
const SUBTRACTED: u8 = 1;

impl AtomicGauge {
    pub(crate) fn new(cells: &CellAllocator) -> Self {
        Self {
            cells: cells.allocate(2),
            base: AtomicU64::new(0.0_f64.to_bits()),
        }
    }

    /// Returns the size of a gauge in bytes.
    pub(crate) const fn size() -> usize {
        size_of::<Self>() + Cells::size(2)
    }

    /// Returns the value. Concurrent changes may be missing. A whole amount that was subtracted is included only with the amount
    /// that was added before.
    pub(crate) fn value(&self) -> f64 {
        // The base first: `set` has chosen it for the changes that are then read, too.
        let base = f64::from_bits(self.base.load(Acquire));
        match self.changes() {
            // Keeps the sign of a zero.
            0.0 => base,
            changes => base + changes,
        }
    }

    /// Returns the sum of the cells.
    fn changes(&self) -> f64 {
        let mut subtracted = self.cells.sum(SUBTRACTED);
        let mut changes = 0;
        for _ in 0..MAX_READS {
            // In this order: a request that ends on another thread than it started on is never only subtracted.
            changes = self.cells.sum(ADDED).wrapping_sub(subtracted);
            let before = mem::replace(&mut subtracted, self.cells.sum(SUBTRACTED));
            if before == subtracted {
                break;
            }
            // Requests that ended meanwhile may be in only one of the sums.
        }
        changes as i64 as f64
    }

    /// Adds an amount to the cell of whole amounts, or `sign` times the amount to the base.
    #[inline]
    fn change(&self, cell: u8, sign: f64, amount: f64) {
        // Mostly a request that starts or ends.
        if amount == 1.0 {
            self.cells.add(cell, 1);
        } else {
            self.change_by(cell, sign, amount);
        }
    }

    #[inline(never)]
    fn change_by(&self, cell: u8, sign: f64, amount: f64) {
        let integer = amount as u32;
        if f64::from(integer) == amount {
            self.cells.add(cell, u64::from(integer));
        } else {
            let _ = self.base.fetch_update(AcqRel, Acquire, |base| {
                Some((f64::from_bits(base) + sign * amount).to_bits())
            });
        }
    }
}

impl GaugeFn for AtomicGauge {
    fn increment(&self, value: f64) {
        self.change(ADDED, 1.0, value);
    }

    fn decrement(&self, value: f64) {
        self.change(SUBTRACTED, -1.0, value);
    }

    fn set(&self, value: f64) {
        let _ = self.base.fetch_update(AcqRel, Acquire, |_| {
            Some((value - self.changes()).to_bits())
        });
    }
}
