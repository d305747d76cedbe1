//! A small number for each thread that records metrics.

use std::{cell::Cell, sync::LazyLock};

use crate::indices::Indices;

static INDICES: LazyLock<Indices> = LazyLock::new(Indices::new);

thread_local! {
    /// The index of this thread, or [`NONE`]. Without a destructor, so that reading it takes one instruction.
    static INDEX: Cell<usize> = const { Cell::new(NONE) };

    static CLAIM: Claim = Claim(INDICES.claim());
}

const NONE: usize = usize::MAX;

/// Owns the index of a thread until the thread ends.
struct Claim(usize);

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = INDEX.try_with(|index| index.set(NONE));
        INDICES.release(self.0);
    }
}

/// Returns the index of this thread. No other live thread has it. Returns `usize::MAX` before [`claim`].
#[inline]
pub(crate) fn current() -> usize {
    INDEX.try_with(Cell::get).unwrap_or(NONE)
}

/// Returns the index of this thread. Takes a lock at the first call. Returns `None` while the thread destroys its
/// thread-locals.
pub(crate) fn claim() -> Option<usize> {
    let index = CLAIM.try_with(|claim| claim.0).ok()?;
    let _ = INDEX.try_with(|current| current.set(index));
    Some(index)
}

/// Returns a number above the indices of all threads, including those that have ended.
pub(crate) fn count() -> usize {
    INDICES.count()
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
                    assert_eq!(current(), NONE);
                    let index = claim().unwrap();
                    barrier.wait();
                    assert_eq!((current(), claim()), (index, Some(index)));
                    assert!(index < count());
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
    fn the_indices_of_threads_that_have_ended_are_reused() {
        for _ in 0..1_000 {
            std::thread::spawn(claim).join().unwrap();
        }
        // Other tests run at the same time.
        assert!(std::thread::spawn(claim).join().unwrap().unwrap() < 200);
    }
}
