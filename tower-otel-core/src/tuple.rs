//! Tuples of observers, from the outermost to the innermost.

use std::{
    cell::Cell,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Instant,
};

use crate::{
    end::End,
    head::{RequestHead, ResponseHead},
    joined_exchange::JoinedExchange,
    long_lived::LongLived,
    observe::{Exchange, Observe, ResponseHeader, run_and_leave},
    request_info::RequestInfo,
    unwinding::without_second_panic,
};

/// Two observers. The first is the outer one. The second starts and ends in the context of the first. Both read
/// one [`RequestInfo`]. `response` and `data` are called from the inner to the outer.
impl<A: Observe, B: Observe> Observe for (A, B) {
    type Exchange = JoinedExchange<Nested<A::Exchange, B::Exchange>>;

    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange {
        let mut outer = self.0.start(request, at);
        let inner = start_inside(&mut outer, self.1.reads_context(), || {
            self.1.start(request, at)
        });
        JoinedExchange::new(Nested { outer, inner })
    }

    fn send(&self, request: &mut dyn RequestHead) {
        self.0.send(request);
        self.1.send(request);
    }

    fn reads_context(&self) -> bool {
        self.0.reads_context() || self.1.reads_context()
    }
}

/// Three observers, from the outermost to the innermost.
impl<A: Observe, B: Observe, C: Observe> Observe for (A, B, C) {
    type Exchange = JoinedExchange<Nested<A::Exchange, Nested<B::Exchange, C::Exchange>>>;

    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange {
        let (a, b, c) = self;
        let mut outer = a.start(request, at);
        let reads_context = b.reads_context() || c.reads_context();
        let inner = start_inside(&mut outer, reads_context, || {
            let mut outer = b.start(request, at);
            let inner = start_inside(&mut outer, c.reads_context(), || c.start(request, at));
            Nested { outer, inner }
        });
        JoinedExchange::new(Nested { outer, inner })
    }

    fn send(&self, request: &mut dyn RequestHead) {
        self.0.send(request);
        self.1.send(request);
        self.2.send(request);
    }

    fn reads_context(&self) -> bool {
        self.0.reads_context() || self.1.reads_context() || self.2.reads_context()
    }
}

/// An exchange inside another one.
#[derive(Debug)]
pub struct Nested<A, B> {
    outer: A,
    inner: B,
}

impl<A: Exchange, B: Exchange> Exchange for Nested<A, B> {
    const OBSERVES_RESPONSE: bool = A::OBSERVES_RESPONSE || B::OBSERVES_RESPONSE;
    const END_READS_CONTEXT: bool = A::END_READS_CONTEXT || B::END_READS_CONTEXT;

    // The inner guard comes first: fields are dropped in this order.
    type Entered<'a>
        = (B::Entered<'a>, A::Entered<'a>)
    where
        Self: 'a;

    fn enter(&mut self) -> Self::Entered<'_> {
        let outer = self.outer.enter();
        (self.inner.enter(), outer)
    }

    fn read_response(&mut self, response: &dyn ResponseHead) -> Option<Box<ResponseHeader>> {
        let inner = self.inner.read_response(response);
        self.outer.read_response(response).or(inner)
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        self.inner.response(response);
        self.outer.response(response);
    }

    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        self.inner.long_lived(upgraded);
        self.outer.long_lived(upgraded);
    }

    fn data(&mut self, bytes: u64) {
        self.inner.data(bytes);
        self.outer.data(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let Self { outer, inner } = self;
        let outer = EndOnDrop { outer, end, at };
        if B::END_READS_CONTEXT {
            let _entered = outer.outer.enter();
            inner.end(end, at);
        } else {
            inner.end(end, at);
        }
    }

    fn run<T>(
        &mut self,
        foreign: impl FnOnce() -> T,
        read: impl for<'t> FnOnce(&'t T) -> (Option<u64>, Option<End<'t>>),
        has_ended: &Cell<bool>,
    ) -> T {
        if !A::COUNTS_DATA_LATE || !B::END_READS_CONTEXT {
            return run_and_leave(self, foreign, read, has_ended);
        }
        let Self { outer, inner } = self;
        let entered = outer.enter();
        let output = {
            let _entered = inner.enter();
            foreign()
        };
        let (bytes, end) = read(&output);
        if let Some(bytes) = bytes {
            inner.data(bytes);
        }
        let Some(end) = end else {
            drop(entered);
            if let Some(bytes) = bytes {
                outer.data(bytes);
            }
            return output;
        };
        let at = Instant::now();
        has_ended.set(true);
        // The outer exchange ends even if the end of the inner one panics.
        let inner_end = catch_unwind(AssertUnwindSafe(|| inner.end(end, at)));
        drop(entered);
        let outer = EndOnDrop { outer, end, at };
        if let Some(bytes) = bytes {
            outer.outer.data(bytes);
        }
        drop(outer);
        if let Err(panic) = inner_end {
            resume_unwind(panic);
        }
        output
    }
}

/// Starts the inner exchange in the context of the outer one. If that panics, the outer one ends.
#[inline]
fn start_inside<A: Exchange, B>(
    outer: &mut A,
    reads_context: bool,
    start: impl FnOnce() -> B,
) -> B {
    let unwinding = EndIfPanicked(outer);
    let inner = if reads_context {
        let _entered = unwinding.0.enter();
        start()
    } else {
        start()
    };
    mem::forget(unwinding);
    inner
}

struct EndIfPanicked<'a, A: Exchange>(&'a mut A);

impl<A: Exchange> Drop for EndIfPanicked<'_, A> {
    fn drop(&mut self) {
        without_second_panic(|| self.0.end(End::Panicked, Instant::now()));
    }
}

/// Ends the outer exchange after the inner one, even if the end of the inner one panics.
struct EndOnDrop<'a, 'e, A: Exchange> {
    outer: &'a mut A,
    end: End<'e>,
    at: Instant,
}

impl<A: Exchange> Drop for EndOnDrop<'_, '_, A> {
    fn drop(&mut self) {
        without_second_panic(|| self.outer.end(self.end, self.at));
    }
}
