//! The state of an exchange that several observers have joined.

use std::{cell::Cell, cmp::Ordering, time::Instant};

use crate::{
    end::End,
    head::ResponseHead,
    long_lived::LongLived,
    observe::{Exchange, ResponseHeader},
    spare_boxes,
};

/// The exchanges of several observers, behind one pointer.
///
/// An exchange is moved about ten times: into the future, through the futures of the router, into the body. These moves
/// cost more than one allocation. The boxes of ended exchanges are [reused](crate::spare_boxes).
#[derive(Debug)]
pub struct JoinedExchange<E: 'static>(
    // The outer option is `None` only while this is dropped. The inner one is `None` in a spare box.
    Option<Box<Option<E>>>,
);

impl<E> JoinedExchange<E> {
    #[inline(always)]
    pub(crate) fn new(exchanges: E) -> Self {
        Self(Some(spare_boxes::fill(exchanges)))
    }

    #[inline]
    fn get(&self) -> Option<&E> {
        self.0.as_deref()?.as_ref()
    }

    #[inline]
    fn get_mut(&mut self) -> Option<&mut E> {
        self.0.as_deref_mut()?.as_mut()
    }
}

impl<E> Drop for JoinedExchange<E> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut exchanges) = self.0.take() {
            *exchanges = None;
            spare_boxes::put(exchanges);
        }
    }
}

impl<E: Exchange> Exchange for JoinedExchange<E> {
    const OBSERVES_RESPONSE: bool = E::OBSERVES_RESPONSE;
    const END_READS_CONTEXT: bool = E::END_READS_CONTEXT;
    const ONLY_RECORDS: bool = E::ONLY_RECORDS;

    type Entered<'a>
        = Option<E::Entered<'a>>
    where
        Self: 'a;

    #[inline]
    fn enter(&mut self) -> Self::Entered<'_> {
        self.get_mut().map(E::enter)
    }

    #[inline]
    fn read_response(&mut self, response: &dyn ResponseHead) -> Option<Box<ResponseHeader>> {
        self.get_mut()?.read_response(response)
    }

    #[inline]
    fn response(&mut self, response: &dyn ResponseHead) {
        if let Some(exchanges) = self.get_mut() {
            exchanges.response(response);
        }
    }

    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        if let Some(exchanges) = self.get_mut() {
            exchanges.long_lived(upgraded);
        }
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        if let Some(exchanges) = self.get_mut() {
            exchanges.data(bytes);
        }
    }

    #[inline]
    fn end_order(&self) -> Option<Ordering> {
        self.get()?.end_order()
    }

    #[inline]
    fn end(&mut self, end: End<'_>, at: Instant) {
        if let Some(exchanges) = self.get_mut() {
            exchanges.end(end, at);
        }
    }

    #[inline]
    fn run<B, T>(
        &mut self,
        body: &mut B,
        foreign: impl FnOnce(&mut B) -> T,
        read: impl for<'t> FnOnce(&B, &'t T) -> (Option<u64>, Option<End<'t>>),
        has_ended: &Cell<bool>,
    ) -> T {
        match self.get_mut() {
            Some(exchanges) => exchanges.run(body, foreign, read, has_ended),
            None => foreign(body),
        }
    }
}
