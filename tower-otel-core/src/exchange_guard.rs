//! The guard that ends an exchange exactly once.

use std::{cell::Cell, mem, time::Instant};

use crate::{
    end::End,
    head::ResponseHead,
    long_lived::LongLived,
    observe::{Exchange, ResponseHeader},
    unwinding::{swallow_panic, without_second_panic},
};

/// Owns an exchange and ends it exactly once, at the latest when dropped.
///
/// Foreign code is the inner service, its future and its body. It is called through `run` or `query`,
/// so that a panic is distinguished from a drop.
/// `std::thread::panicking()` in a `Drop` would be wrong in two cases: inside `catch_unwind`, and
/// when unrelated unwinding drops an exchange that is only cancelled.
///
/// The bound on the struct is required by its `Drop`.
pub struct ExchangeGuard<E: Exchange> {
    exchange: Option<E>,
}

impl<E: Exchange> ExchangeGuard<E> {
    pub(crate) const fn new(exchange: E) -> Self {
        Self {
            exchange: Some(exchange),
        }
    }

    /// Returns a guard whose exchange has ended.
    pub(crate) const fn ended() -> Self {
        Self { exchange: None }
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.exchange.is_some()
    }

    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::ended())
    }

    /// Calls foreign code inside the context of the exchange. If it panics, the exchange ends.
    pub(crate) fn run<T>(&mut self, foreign: impl FnOnce() -> T) -> T {
        self.end_if_panicked(|exchange| {
            let _entered = exchange.map(E::enter);
            foreign()
        })
    }

    /// Calls foreign code that only reads a value, outside the context of the exchange. If it panics, the
    /// exchange ends.
    pub(crate) fn query<T>(&mut self, foreign: impl FnOnce() -> T) -> T {
        self.end_if_panicked(|_| foreign())
    }

    /// Calls foreign code with a body like [`run`](Self::run), then records the size of a data frame and the end that `read`
    /// finds in its output.
    #[inline]
    pub(crate) fn run_and_record<B, T>(
        &mut self,
        body: &mut B,
        foreign: impl FnOnce(&mut B) -> T,
        read: impl for<'t> FnOnce(&B, &'t T) -> (Option<u64>, Option<End<'t>>),
    ) -> T {
        let recording = EndOnce {
            guard: self,
            has_ended: Cell::new(false),
        };
        let Some(exchange) = &mut recording.guard.exchange else {
            mem::forget(recording);
            return foreign(body);
        };
        let output = exchange.run(body, foreign, read, &recording.has_ended);
        if !recording.has_ended.get() {
            mem::forget(recording);
        }
        output
    }

    #[inline]
    fn end_if_panicked<T>(&mut self, call: impl FnOnce(Option<&mut E>) -> T) -> T {
        let unwinding = self.end_on_unwind();
        let output = call(unwinding.0.exchange.as_mut());
        unwinding.disarm();
        output
    }

    /// Returns a value that ends the exchange as `Panicked` if it is dropped. Use it where a closure for [`run`](Self::run)
    /// would move large values.
    #[inline]
    pub(crate) const fn end_on_unwind(&mut self) -> EndIfPanicked<'_, E> {
        EndIfPanicked(self)
    }

    /// Records the head of the response. An observer may first call functions of the application. If
    /// one panics, the exchange ends without a response, because the caller gets none.
    ///
    /// Returns a header to append to the response of a server.
    pub(crate) fn response(&mut self, response: &dyn ResponseHead) -> Option<Box<ResponseHeader>> {
        self.end_if_panicked(|exchange| {
            let exchange = exchange?;
            let header = exchange.read_response(response);
            exchange.response(response);
            header
        })
    }

    /// Records that the response is a long-lived stream, or an upgrade that is observed.
    #[cold]
    pub(crate) fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.long_lived(upgraded);
        }
    }

    /// Ends the exchange after a panic that was caught and continues later. A panic of `end` is swallowed.
    #[cold]
    pub(crate) fn end_after_panic(mut self) {
        swallow_panic(|| self.end(End::Panicked));
    }

    /// Ends the exchange, unless it has ended. The exchange is ended in place, because a move
    /// costs as much as reading the clock.
    #[inline]
    pub(crate) fn end(&mut self, end: End<'_>) {
        let exchange = DropAfterEnd(&mut self.exchange);
        if let Some(exchange) = exchange.0 {
            without_second_panic(|| exchange.end(end, Instant::now()));
        }
    }
}

impl<E: Exchange> Drop for ExchangeGuard<E> {
    #[inline]
    fn drop(&mut self) {
        if self.is_open() {
            self.end(End::Cancelled);
        }
    }
}

/// Ends the exchange when foreign code unwinds. Forgotten when foreign code returns.
pub(crate) struct EndIfPanicked<'a, E: Exchange>(&'a mut ExchangeGuard<E>);

impl<E: Exchange> EndIfPanicked<'_, E> {
    /// Enters the context of the exchange, for foreign code.
    #[inline]
    pub(crate) fn enter(&mut self) -> Option<E::Entered<'_>> {
        self.0.exchange.as_mut().map(E::enter)
    }

    /// Forgets this value after foreign code has returned.
    #[inline]
    pub(crate) fn disarm(self) {
        mem::forget(self);
    }
}

impl<E: Exchange> Drop for EndIfPanicked<'_, E> {
    fn drop(&mut self) {
        self.0.end(End::Panicked);
    }
}

/// Ends the exchange if foreign code unwinds, and drops it after its end.
struct EndOnce<'a, E: Exchange> {
    guard: &'a mut ExchangeGuard<E>,
    /// Whether the exchange has ended, or ends now.
    has_ended: Cell<bool>,
}

impl<E: Exchange> Drop for EndOnce<'_, E> {
    #[inline]
    fn drop(&mut self) {
        if self.has_ended.get() {
            drop(DropAfterEnd(&mut self.guard.exchange));
        } else {
            self.guard.end(End::Panicked);
        }
    }
}

/// Drops the exchange after its end, even if the end panics.
struct DropAfterEnd<'a, E>(&'a mut Option<E>);

impl<E> Drop for DropAfterEnd<'_, E> {
    fn drop(&mut self) {
        without_second_panic(|| *self.0 = None);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use std::{
        cell::RefCell,
        panic::{AssertUnwindSafe, catch_unwind},
    };

    use super::*;

    /// Records its end and its drop, and panics at its end.
    struct PanicsAtEnd<'a>(&'a RefCell<Vec<&'static str>>);

    impl Exchange for PanicsAtEnd<'_> {
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

    impl Drop for PanicsAtEnd<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push("dropped");
        }
    }

    #[test]
    fn an_exchange_that_panics_at_its_end_has_ended_once() {
        let events = RefCell::default();
        let mut recording = ExchangeGuard::new(PanicsAtEnd(&events));
        let end = || recording.end(End::Aborted);
        assert!(catch_unwind(AssertUnwindSafe(end)).is_err());
        assert!(!recording.is_open());
        drop(recording);
        assert_eq!(*events.borrow(), ["ended", "dropped"]);
    }

    #[test]
    fn an_end_that_panics_while_a_handler_unwinds_does_not_abort_the_process() {
        let events = RefCell::default();
        let handler = || {
            let mut guard = ExchangeGuard::new(PanicsAtEnd(&events));
            guard.run(|| panic!("in the handler"));
        };
        let panic = catch_unwind(AssertUnwindSafe(handler)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"in the handler"));
        assert_eq!(*events.borrow(), ["ended", "dropped"]);

        let holds_an_exchange = || {
            let _guard = ExchangeGuard::new(PanicsAtEnd(&events));
            panic!("elsewhere");
        };
        assert!(catch_unwind(AssertUnwindSafe(holds_an_exchange)).is_err());
        assert_eq!(*events.borrow(), ["ended", "dropped", "ended", "dropped"]);
    }
}
