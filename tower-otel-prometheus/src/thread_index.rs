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
    use std::{
        cell::RefCell,
        sync::{Barrier, mpsc},
    };

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
    fn a_thread_has_no_index_after_it_has_returned_it() {
        struct AtExit(Option<mpsc::Sender<(usize, Option<usize>)>>);

        impl Drop for AtExit {
            fn drop(&mut self) {
                if let Some(send) = &self.0 {
                    send.send((current(), claim())).unwrap();
                }
            }
        }

        thread_local! {
            static BEFORE: RefCell<AtExit> = const { RefCell::new(AtExit(None)) };
            static AFTER: RefCell<AtExit> = const { RefCell::new(AtExit(None)) };
        }

        let (send, receive) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            BEFORE.with_borrow_mut(|exit| exit.0 = Some(send.clone()));
            let index = claim().unwrap();
            AFTER.with_borrow_mut(|exit| exit.0 = Some(send));
            index
        });
        let index = thread.join().unwrap();
        // One of the destructors runs before that of the claim.
        let mut seen: Vec<_> = receive.into_iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, [(index, Some(index)), (NONE, None)]);
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
