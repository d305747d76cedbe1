//! The two traits every signal implements, and observers joined into one.

use std::{mem, time::Instant};

use crate::{End, RequestHead, ResponseHead};

/// Watches exchanges: one observer for each signal, one [`Exchange`] for each request.
///
/// An observer is cloned with the service it watches, so it is best a handle to shared
/// configuration.
pub trait Observe {
    /// What is kept between the phases of one exchange.
    type Exchange: Exchange;

    /// A request is about to be handed to the inner service.
    ///
    /// `at` is the start of the exchange, read once and given to every observer of it.
    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange;
}

/// One exchange, from its start to its only end.
///
/// The order of calls is `response` at most once, `data` for each data frame of its body, `end`
/// exactly once. Between them, `enter` is called around all foreign code that works
/// or waits; a body is asked for its size and whether it is at its end without.
pub trait Exchange {
    /// Whether anything is done with what it is told. If not, it need not be told, and nothing has
    /// to be wrapped or entered for its sake. An observer that is done once the request is on its
    /// way has the exchange `()`, which does not listen.
    const LISTENS: bool = true;

    /// Holds the context of the exchange on the current thread until it is dropped.
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the context of the exchange current: around `call`, each `poll` of the future and of
    /// the body, and around dropping them.
    fn enter(&mut self) -> Self::Entered<'_>;

    /// The inner service has answered.
    fn response(&mut self, response: &dyn ResponseHead);

    /// A frame of the response body with this many bytes has passed.
    fn data(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// The exchange has ended. It is not entered at this time.
    fn end(&mut self, end: End<'_>, at: Instant);
}

/// An exchange that was filtered out.
impl<E: Exchange> Exchange for Option<E> {
    const LISTENS: bool = E::LISTENS;

    type Entered<'a>
        = Option<E::Entered<'a>>
    where
        Self: 'a;

    fn enter(&mut self) -> Self::Entered<'_> {
        self.as_mut().map(E::enter)
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        if let Some(exchange) = self {
            exchange.response(response);
        }
    }

    fn data(&mut self, bytes: u64) {
        if let Some(exchange) = self {
            exchange.data(bytes);
        }
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        if let Some(exchange) = self {
            exchange.end(end, at);
        }
    }
}

/// Nothing is observed.
impl Exchange for () {
    const LISTENS: bool = false;

    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _response: &dyn ResponseHead) {}

    fn end(&mut self, _end: End<'_>, _at: Instant) {}
}

/// The first observer is the outer one: it is entered before the second starts, and the second
/// ends inside it. Responses and data are told to the second first, and neither is entered for it.
impl<A: Observe, B: Observe> Observe for (A, B) {
    type Exchange = (A::Exchange, B::Exchange);

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        let outer = self.0.start(request, at);
        start_inside(outer, || self.1.start(request, at))
    }
}

impl<A: Exchange, B: Exchange> Exchange for (A, B) {
    const LISTENS: bool = A::LISTENS || B::LISTENS;

    type Entered<'a>
        = EnteredBoth<A::Entered<'a>, B::Entered<'a>>
    where
        Self: 'a;

    fn enter(&mut self) -> Self::Entered<'_> {
        let outer = self.0.enter();
        let inner = self.1.enter();
        EnteredBoth {
            _inner: inner,
            _outer: outer,
        }
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        self.1.response(response);
        self.0.response(response);
    }

    fn data(&mut self, bytes: u64) {
        self.1.data(bytes);
        self.0.data(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let (outer, inner) = self;
        if !B::LISTENS {
            return outer.end(end, at);
        }
        let outer = EndLast { outer, end, at };
        let _entered = outer.outer.enter();
        inner.end(end, at);
    }
}

/// Two entered contexts, left in the opposite order.
#[derive(Debug)]
pub struct EnteredBoth<A, B> {
    // Fields are dropped in the order of their declaration.
    _inner: B,
    _outer: A,
}

/// Three observers, from the outer one to the inner one.
impl<A: Observe, B: Observe, C: Observe> Observe for (A, B, C) {
    type Exchange = (A::Exchange, (B::Exchange, C::Exchange));

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        let first = self.0.start(request, at);
        start_inside(first, || {
            let second = self.1.start(request, at);
            start_inside(second, || self.2.start(request, at))
        })
    }
}

/// Starts an exchange in the context of another one, which ends if that panics.
fn start_inside<A: Exchange, B>(mut outer: A, start: impl FnOnce() -> B) -> (A, B) {
    struct Unwinding<'a, A: Exchange>(&'a mut A);

    impl<A: Exchange> Drop for Unwinding<'_, A> {
        fn drop(&mut self) {
            self.0.end(End::Panicked, Instant::now());
        }
    }

    let unwinding = Unwinding(&mut outer);
    let inner = {
        let _entered = unwinding.0.enter();
        start()
    };
    mem::forget(unwinding);
    (outer, inner)
}

/// Ends the outer exchange after the inner one, even if ending that panics.
struct EndLast<'a, 'e, A: Exchange> {
    outer: &'a mut A,
    end: End<'e>,
    at: Instant,
}

impl<A: Exchange> Drop for EndLast<'_, '_, A> {
    fn drop(&mut self) {
        self.outer.end(self.end, self.at);
    }
}
