//! A small number for each live thread.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Mutex, MutexGuard, PoisonError},
};

static INDICES: Mutex<Indices> = Mutex::new(Indices {
    next: 0,
    free: BinaryHeap::new(),
});

thread_local! {
    static INDEX: ThreadIndex = ThreadIndex(lock().allocate());
}

#[derive(Debug)]
struct Indices {
    next: usize,
    /// The indices of ended threads. The smallest is reused first.
    free: BinaryHeap<Reverse<usize>>,
}

impl Indices {
    fn allocate(&mut self) -> usize {
        if let Some(Reverse(index)) = self.free.pop() {
            return index;
        }
        let index = self.next;
        self.next += 1;
        index
    }
}

struct ThreadIndex(usize);

impl Drop for ThreadIndex {
    fn drop(&mut self) {
        lock().free.push(Reverse(self.0));
    }
}

fn lock() -> MutexGuard<'static, Indices> {
    INDICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the index of this thread. No other live thread has it. While the thread destroys its thread-locals, returns 0.
pub(crate) fn current() -> usize {
    INDEX.try_with(|index| index.0).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn live_threads_have_different_indices() {
        let barrier = Barrier::new(8);
        let mut indices: Vec<_> = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| {
                scope.spawn(|| {
                    let index = current();
                    barrier.wait();
                    assert_eq!(current(), index);
                    index
                })
            });
            threads.map(|thread| thread.join().unwrap()).into()
        });
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 8);
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow: a thousand threads")]
    fn the_indices_of_threads_that_have_ended_are_reused() {
        for _ in 0..1_000 {
            std::thread::spawn(current).join().unwrap();
        }
        // Other tests run at the same time.
        assert!(std::thread::spawn(current).join().unwrap() < 200);
    }
}
