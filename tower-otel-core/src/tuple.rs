//! Tuples of observers, from the outermost to the innermost.

use std::{
    cell::Cell,
    cmp::Ordering,
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
/// one [`RequestInfo`]. `response` and `data` are called for the inner one first.
///
/// If the end of a span decides whether its trace is kept, metrics inside it are recorded after that end, in the context of
/// the span.
///
/// The exchanges must be `'static`, because each thread reuses the boxes of ended exchanges.
impl<A, B> Observe for (A, B)
where
    A: Observe<Exchange: 'static>,
    B: Observe<Exchange: 'static>,
{
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
impl<A, B, C> Observe for (A, B, C)
where
    A: Observe<Exchange: 'static>,
    B: Observe<Exchange: 'static>,
    C: Observe<Exchange: 'static>,
{
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
    const ONLY_RECORDS: bool = A::ONLY_RECORDS && B::ONLY_RECORDS;

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

    fn end_order(&self) -> Option<Ordering> {
        let (outer, inner) = (self.outer.end_order()?, self.inner.end_order()?);
        Some(match inner {
            Ordering::Greater => outer,
            Ordering::Less | Ordering::Equal => Ordering::Equal,
        })
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        if self.ends_outer_first(self.outer.end_order()) {
            return self.end_outer_first(end, at);
        }
        let Self { outer, inner } = self;
        let outer = EndOnDrop { outer, end, at };
        if B::END_READS_CONTEXT {
            let _entered = outer.outer.enter();
            inner.end(end, at);
        } else {
            inner.end(end, at);
        }
    }

    fn run<R, T>(
        &mut self,
        body: &mut R,
        foreign: impl FnOnce(&mut R) -> T,
        read: impl for<'t> FnOnce(&R, &'t T) -> (Option<u64>, Option<End<'t>>),
        has_ended: &Cell<bool>,
    ) -> T {
        let order = self.outer.end_order();
        if order.is_none() || !B::END_READS_CONTEXT || self.ends_outer_first(order) {
            return run_and_leave(self, body, foreign, read, has_ended);
        }
        let Self { outer, inner } = self;
        let entered = outer.enter();
        let output = {
            let _entered = inner.enter();
            foreign(body)
        };
        let (bytes, end) = read(body, &output);
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
        if let Some(bytes) = bytes {
            let ends = EndOnDrop { outer, end, at };
            ends.outer.data(bytes);
            mem::forget(ends);
        }
        without_second_panic(|| outer.end(end, at));
        if let Err(panic) = inner_end {
            resume_unwind(panic);
        }
        output
    }
}

impl<A: Exchange, B: Exchange> Nested<A, B> {
    /// Returns whether the outer exchange, which has this order, ends before the inner one.
    #[inline]
    fn ends_outer_first(&self, outer: Option<Ordering>) -> bool {
        B::END_READS_CONTEXT
            && outer == Some(Ordering::Less)
            && self.inner.end_order() == Some(Ordering::Greater)
    }

    #[inline(never)]
    fn end_outer_first(&mut self, end: End<'_>, at: Instant) {
        let Self { outer, inner } = self;
        let ends = EndInsideOnDrop {
            outer,
            inner,
            end,
            at,
        };
        ends.outer.end(end, at);
    }
}

/// Starts the inner exchange in the context of the outer one. If the start panics, the outer one ends as `Panicked`.
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

/// Ends the inner exchange after the outer one and in its context, even if the end of the outer one panics.
struct EndInsideOnDrop<'a, 'e, A: Exchange, B: Exchange> {
    outer: &'a mut A,
    inner: &'a mut B,
    end: End<'e>,
    at: Instant,
}

impl<A: Exchange, B: Exchange> Drop for EndInsideOnDrop<'_, '_, A, B> {
    fn drop(&mut self) {
        without_second_panic(|| {
            // The outer one may close its span, which calls code of the application.
            let outer = &mut *self.outer;
            let entered = catch_unwind(AssertUnwindSafe(move || { outer }.enter()));
            self.inner.end(self.end, self.at);
            if let Err(panic) = entered {
                resume_unwind(panic);
            }
        });
    }
}
