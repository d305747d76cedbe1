//! The two traits every signal implements, and observers joined into one.

use std::time::Instant;

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
/// exactly once. Between them, `enter` is called around every piece of foreign code.
pub trait Exchange {
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
    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _response: &dyn ResponseHead) {}

    fn end(&mut self, _end: End<'_>, _at: Instant) {}
}

/// The first observer is the outer one: it is entered before the second starts, and the second
/// ends inside it.
impl<A: Observe, B: Observe> Observe for (A, B) {
    type Exchange = (A::Exchange, B::Exchange);

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        let mut outer = self.0.start(request, at);
        let inner = {
            let _entered = outer.enter();
            self.1.start(request, at)
        };
        (outer, inner)
    }
}

impl<A: Exchange, B: Exchange> Exchange for (A, B) {
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
        {
            let _entered = self.0.enter();
            self.1.response(response);
        }
        self.0.response(response);
    }

    fn data(&mut self, bytes: u64) {
        self.1.data(bytes);
        self.0.data(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        {
            let _entered = self.0.enter();
            self.1.end(end, at);
        }
        self.0.end(end, at);
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
        let mut first = self.0.start(request, at);
        let rest = {
            let _entered = first.enter();
            let mut second = self.1.start(request, at);
            let third = {
                let _entered = second.enter();
                self.2.start(request, at)
            };
            (second, third)
        };
        (first, rest)
    }
}
