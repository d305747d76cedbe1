//! Lends the bytes of a held trace to its open spans.

use super::held_trace::HeldTrace;
use crate::{allowance::LendBytes, thread_index};

impl<T: Send> LendBytes for HeldTrace<T> {
    fn lend(&self, bytes: usize) -> bool {
        self.take(thread_index::current(), bytes)
    }

    fn take_back(&self, bytes: usize) {
        self.release(thread_index::current(), bytes);
    }
}
