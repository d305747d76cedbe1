//! The state of an exchange that several observers have joined.

use std::{cell::Cell, cmp::Ordering, time::Instant};

use crate::{
    end::End,
    head::ResponseHead,
    long_lived::LongLived,
    observe::{Exchange, ResponseHeader},
};

/// The exchanges of several observers, behind one pointer.
///
/// An exchange is moved about ten times: into the future, through the futures of the router, into the body. These moves
/// cost more than one allocation.
#[derive(Debug)]
pub struct JoinedExchange<E>(Box<E>);

impl<E> JoinedExchange<E> {
    #[inline]
    pub(crate) fn new(exchanges: E) -> Self {
        Self(Box::new(exchanges))
    }
}

impl<E: Exchange> Exchange for JoinedExchange<E> {
    const OBSERVES_RESPONSE: bool = E::OBSERVES_RESPONSE;
    const END_READS_CONTEXT: bool = E::END_READS_CONTEXT;

    type Entered<'a>
        = E::Entered<'a>
    where
        Self: 'a;

    #[inline]
    fn enter(&mut self) -> Self::Entered<'_> {
        self.0.enter()
    }

    #[inline]
    fn read_response(&mut self, response: &dyn ResponseHead) -> Option<Box<ResponseHeader>> {
        self.0.read_response(response)
    }

    #[inline]
    fn response(&mut self, response: &dyn ResponseHead) {
        self.0.response(response);
    }

    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        self.0.long_lived(upgraded);
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        self.0.data(bytes);
    }

    #[inline]
    fn end_order(&self) -> Option<Ordering> {
        self.0.end_order()
    }

    #[inline]
    fn end(&mut self, end: End<'_>, at: Instant) {
        self.0.end(end, at);
    }

    #[inline]
    fn run<T>(
        &mut self,
        foreign: impl FnOnce() -> T,
        read: impl for<'t> FnOnce(&'t T) -> (Option<u64>, Option<End<'t>>),
        has_ended: &Cell<bool>,
    ) -> T {
        self.0.run(foreign, read, has_ended)
    }
}
