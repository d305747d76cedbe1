//! The guard that makes an exchange end exactly once.

use std::{mem, time::Instant};

use crate::{End, Exchange, ResponseHead};

/// Holds an exchange until its end, and ends it at the latest when dropped.
///
/// Whatever runs foreign code goes through `run`, so that a panic is told apart from
/// a drop. Asking `std::thread::panicking` in a `Drop` would be wrong twice: under a handler that
/// catches unwinds, and when somebody else's unwinding drops an exchange that is merely cancelled.
///
/// The bound on the struct is what its `Drop` needs.
#[derive(Debug)]
pub struct Recording<E: Exchange> {
    exchange: Option<E>,
}

impl<E: Exchange> Recording<E> {
    pub(crate) fn new(exchange: E) -> Self {
        Self {
            exchange: Some(exchange),
        }
    }

    /// A recording that has ended, or never began.
    pub(crate) fn ended() -> Self {
        Self { exchange: None }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.exchange.is_some()
    }

    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::ended())
    }

    /// Runs foreign code inside the context of the exchange. If it panics, the exchange ends so.
    pub(crate) fn run<T>(&mut self, foreign: impl FnOnce() -> T) -> T {
        self.guard(|exchange| {
            let _entered = exchange.map(E::enter);
            foreign()
        })
    }

    /// Asks foreign code something it answers without any work: the exchange is not entered for
    /// it. If it panics, the exchange ends so.
    pub(crate) fn ask<T>(&mut self, foreign: impl FnOnce() -> T) -> T {
        self.guard(|_| foreign())
    }

    fn guard<T>(&mut self, guarded: impl FnOnce(Option<&mut E>) -> T) -> T {
        let unwinding = Unwinding(self);
        let output = guarded(unwinding.0.exchange.as_mut());
        mem::forget(unwinding);
        output
    }

    pub(crate) fn response(&mut self, response: &dyn ResponseHead) {
        if let Some(exchange) = &mut self.exchange {
            exchange.response(response);
        }
    }

    pub(crate) fn data(&mut self, bytes: u64) {
        if let Some(exchange) = &mut self.exchange {
            exchange.data(bytes);
        }
    }

    /// Ends the exchange, unless it has ended before. It stays where it is until then: to move it
    /// would cost as much as a look at the clock.
    pub(crate) fn end(&mut self, end: End<'_>) {
        let ending = Ending(&mut self.exchange);
        if let Some(exchange) = ending.0 {
            exchange.end(end, Instant::now());
        }
    }
}

impl<E: Exchange> Drop for Recording<E> {
    fn drop(&mut self) {
        self.end(End::Cancelled);
    }
}

/// Dropped only by an unwind out of foreign code.
struct Unwinding<'a, E: Exchange>(&'a mut Recording<E>);

impl<E: Exchange> Drop for Unwinding<'_, E> {
    fn drop(&mut self) {
        self.0.end(End::Panicked);
    }
}

/// Drops the exchange after its end, even if ending it panics.
struct Ending<'a, E>(&'a mut Option<E>);

impl<E> Drop for Ending<'_, E> {
    fn drop(&mut self) {
        *self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use std::{
        cell::RefCell,
        panic::{AssertUnwindSafe, catch_unwind},
    };

    use super::*;

    /// Writes down what becomes of it, and panics at its end.
    struct Fragile<'a>(&'a RefCell<Vec<&'static str>>);

    impl Exchange for Fragile<'_> {
        type Entered<'b>
            = ()
        where
            Self: 'b;

        fn enter(&mut self) {}

        fn response(&mut self, _response: &dyn ResponseHead) {}

        fn end(&mut self, _end: End<'_>, _at: Instant) {
            self.0.borrow_mut().push("ended");
            panic!("at the end");
        }
    }

    impl Drop for Fragile<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push("dropped");
        }
    }

    #[test]
    fn an_exchange_that_panics_at_its_end_has_ended_once() {
        let told = RefCell::default();
        let mut recording = Recording::new(Fragile(&told));
        let end = || recording.end(End::Aborted);
        assert!(catch_unwind(AssertUnwindSafe(end)).is_err());
        assert!(!recording.is_open());
        drop(recording);
        assert_eq!(*told.borrow(), ["ended", "dropped"]);
    }
}
