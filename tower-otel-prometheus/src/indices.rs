//! Small numbers that are used by one owner at a time.

use std::{cmp::Reverse, collections::BinaryHeap, sync::PoisonError};

use crate::sync::{
    Mutex, MutexGuard,
    atomic::{
        AtomicUsize,
        Ordering::{Acquire, Release},
    },
};

/// Indices from zero on. The smallest free index is claimed first.
pub(crate) struct Indices {
    state: Mutex<State>,
    /// The next index of the state, written under the lock.
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    next: usize,
    free: BinaryHeap<Reverse<usize>>,
}

impl Indices {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Returns an index that no other owner has. What its last owner did happened before.
    pub(crate) fn claim(&self) -> usize {
        let mut state = self.lock();
        if let Some(Reverse(index)) = state.free.pop() {
            return index;
        }
        let index = state.next;
        state.next += 1;
        self.count.store(state.next, Release);
        index
    }

    pub(crate) fn release(&self, index: usize) {
        self.lock().free.push(Reverse(index));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a number above all indices that have been claimed.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Acquire)
    }
}
