//! Boxes of ended exchanges, which each thread reuses.

use std::{any::Any, cell::RefCell, mem};

/// The maximum number of boxes of a thread.
const MAX_SPARE: usize = 16;

thread_local! {
    /// Empty boxes: each is a `Box<Option<E>>` with `None`.
    static SPARE: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Moves a value into a box: the one that this thread returned last, if it is a box for this type, else a new one.
#[inline(always)]
pub(crate) fn fill<T: 'static>(value: T) -> Box<Option<T>> {
    let mut spare = match SPARE.try_with(take) {
        Ok(Some(spare)) => spare,
        _ => new(),
    };
    // The box is empty. Without the destructor of its content the compiler moves the value fewer times.
    mem::forget(spare.replace(value));
    spare
}

#[cold]
fn new<T>() -> Box<Option<T>> {
    Box::new(None)
}

/// Takes the last box. A box for another type is freed.
#[inline]
fn take<T: 'static>(spare: &RefCell<Vec<Box<dyn Any>>>) -> Option<Box<Option<T>>> {
    let last = spare.try_borrow_mut().ok()?.pop();
    last?.downcast().ok()
}

/// Returns an empty box. If this thread has enough boxes, frees it.
#[inline]
pub(crate) fn put<T: 'static>(empty: Box<Option<T>>) {
    let _ = SPARE.try_with(|spare| {
        if let Ok(mut spare) = spare.try_borrow_mut()
            && spare.len() < MAX_SPARE
        {
            spare.push(empty);
        }
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{ptr::from_ref, thread};

    use super::*;

    /// Returns the number of spare boxes of this thread.
    fn spares() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn a_box_is_reused_for_the_same_type() {
        let mut first = fill([1_u64; 8]);
        let address = from_ref(&*first).addr();
        first.take();
        put(first);
        let second = fill([2_u64; 8]);
        assert_eq!(from_ref(&*second).addr(), address);
        assert_eq!((*second, spares()), (Some([2; 8]), 0));
    }

    #[test]
    fn a_box_for_another_type_is_freed() {
        put(Box::new(None::<u8>));
        assert_eq!(*fill("text"), Some("text"));
        assert_eq!(spares(), 0);
    }

    #[test]
    fn the_number_of_boxes_is_limited() {
        for _ in 0..2 * MAX_SPARE {
            put(Box::new(None::<u8>));
        }
        assert_eq!(spares(), MAX_SPARE);
    }

    #[test]
    fn a_box_can_be_returned_by_a_thread_that_exits() {
        struct ReturnsItsBox(Option<Box<Option<u8>>>);

        impl Drop for ReturnsItsBox {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(put);
                assert_eq!(*fill(7_u8), Some(7));
            }
        }

        thread_local! {
            static LAST: RefCell<Option<ReturnsItsBox>> = const { RefCell::new(None) };
        }
        let exit = || {
            LAST.set(Some(ReturnsItsBox(Some(Box::new(None)))));
            put(Box::new(None::<u8>));
        };
        thread::spawn(exit).join().unwrap();
    }
}
