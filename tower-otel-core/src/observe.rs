//! The two traits of every signal.

use std::{cell::Cell, time::Instant};

use http::{HeaderName, HeaderValue};

use crate::{
    end::End,
    head::{RequestHead, ResponseHead},
    long_lived::LongLived,
    request_info::RequestInfo,
};

/// Observes the exchanges of a service: one observer per signal, one [`Exchange`] per request.
///
/// An observer is cloned with the service, so it is best a handle to shared configuration.
///
/// # When it is called
///
/// 1. [`start`](Self::start) reads the request and returns the exchange.
/// 2. [`send`](Self::send) may change the request, right before the inner service is called.
///
/// [`Exchange::enter`] is called from `send` on, the other methods of the exchange after it.
pub trait Observe {
    /// The state of one exchange, from its start to its end.
    type Exchange: Exchange;

    /// Starts an exchange.
    ///
    /// `at` is the instant of the start. All observers of an exchange get the same one.
    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange;

    /// Changes the request before it is handed to the inner service. The exchange is entered.
    ///
    /// Default: leaves the request as it is.
    fn send(&self, request: &mut dyn RequestHead) {
        let _ = request;
    }

    /// Returns whether [`start`](Self::start) reads the current context. If `false`, the observer
    /// outside it is not entered for the call.
    ///
    /// Default: `true`.
    fn reads_context(&self) -> bool {
        true
    }
}

/// A header that an exchange appends to a response.
pub(crate) type ResponseHeader = (HeaderName, HeaderValue);

/// One exchange, from its start to its single end.
///
/// # When it is called
///
/// [`response`](Self::response) at most once, [`data`](Self::data) for each data frame of the body,
/// [`end`](Self::end) exactly once. [`enter`](Self::enter) is called around all foreign code that
/// does work. A body is asked for its size and whether it has ended without being entered.
///
/// # Wrappers
///
/// An exchange that wraps another one forwards all constants and methods. Two methods have no page.
/// `read_response(&mut self, &dyn ResponseHead) -> Option<Box<(HeaderName, HeaderValue)>>` is called before `response`. It
/// calls functions of the application, such as the labels of a response, and returns a header for the response of a server.
/// `long_lived(&mut self, Option<&LongLived>)` is called after `response`, if the response is a stream that is meant to
/// last, or an upgrade with the extension [`LongLived`]. What a wrapper does not forward is neither recorded nor sent.
pub trait Exchange {
    /// Whether the exchange observes the response. If `false`, a `reqwest::Response` is not wrapped:
    /// the exchange ends when it arrives, and in middleware of `reqwest_middleware` when the request
    /// is sent.
    ///
    /// Default: `true`. The exchange `()` observes nothing.
    const OBSERVES_RESPONSE: bool = true;

    /// Whether [`end`](Self::end) reads the current context. If `false`, the exchange outside it is
    /// not entered for the call.
    ///
    /// Default: `true`.
    const END_READS_CONTEXT: bool = true;

    /// Whether the exchange only records: its observer does not [change](Observe::send) the request, and
    /// [`data`](Self::data) may be called after the end of the inner exchange.
    ///
    /// Default: `false`.
    #[doc(hidden)]
    const ONLY_RECORDS: bool = false;

    /// The guard of an entered context.
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the context of the exchange current on this thread until the guard is dropped.
    ///
    /// Called around `call`, each `poll` of the future and of the body, and around dropping them. It need not be called
    /// around `call` of a route or a router of axum (feature `axum`): these call handlers and inner services in `poll`.
    fn enter(&mut self) -> Self::Entered<'_>;

    /// Calls the functions of the application that read the head of the response. If one panics, no
    /// exchange records the response. An exchange that wraps another one forwards the call.
    ///
    /// Returns a header that is appended to the response of a server.
    ///
    /// Default: does nothing.
    #[doc(hidden)]
    fn read_response(&mut self, response: &dyn ResponseHead) -> Option<Box<ResponseHeader>> {
        let _ = response;
        None
    }

    /// Records the head of the response.
    fn response(&mut self, response: &dyn ResponseHead);

    /// Records that the body is a stream that is meant to last; or, with `upgraded`, adds an observer of the upgraded
    /// connection. An exchange that wraps another one forwards the call.
    ///
    /// Default: does nothing.
    #[doc(hidden)]
    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        let _ = upgraded;
    }

    /// Records a data frame of the response body, with its size in bytes.
    ///
    /// Default: does nothing.
    fn data(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Ends the exchange. The exchange is not entered.
    fn end(&mut self, end: End<'_>, at: Instant);

    /// Calls foreign code inside the context of the exchange, then records the size of a data frame and the end that
    /// `read` finds in its output. `has_ended` is set right before the end. A wrapper need not forward it.
    ///
    /// Default: calls the other methods. An exchange whose inner exchange ends in its context is entered once for both.
    #[doc(hidden)]
    fn run<T>(
        &mut self,
        foreign: impl FnOnce() -> T,
        read: impl for<'t> FnOnce(&'t T) -> (Option<u64>, Option<End<'t>>),
        has_ended: &Cell<bool>,
    ) -> T {
        run_and_leave(self, foreign, read, has_ended)
    }
}

/// Calls the methods of an exchange one after the other.
#[inline]
pub(crate) fn run_and_leave<E: Exchange + ?Sized, T>(
    exchange: &mut E,
    foreign: impl FnOnce() -> T,
    read: impl for<'t> FnOnce(&'t T) -> (Option<u64>, Option<End<'t>>),
    has_ended: &Cell<bool>,
) -> T {
    let output = {
        let _entered = exchange.enter();
        foreign()
    };
    let (bytes, end) = read(&output);
    if let Some(bytes) = bytes {
        exchange.data(bytes);
    }
    if let Some(end) = end {
        has_ended.set(true);
        exchange.end(end, Instant::now());
    }
    output
}

/// An observer that may be absent: with `None` nothing is observed.
impl<O: Observe> Observe for Option<O> {
    type Exchange = Option<O::Exchange>;

    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange {
        self.as_ref().map(|observer| observer.start(request, at))
    }

    fn send(&self, request: &mut dyn RequestHead) {
        if let Some(observer) = self {
            observer.send(request);
        }
    }

    fn reads_context(&self) -> bool {
        self.as_ref().is_some_and(O::reads_context)
    }
}

/// An exchange that may be absent, for requests that are filtered out.
impl<E: Exchange> Exchange for Option<E> {
    const OBSERVES_RESPONSE: bool = E::OBSERVES_RESPONSE;
    const END_READS_CONTEXT: bool = E::END_READS_CONTEXT;
    const ONLY_RECORDS: bool = E::ONLY_RECORDS;

    type Entered<'a>
        = Option<E::Entered<'a>>
    where
        Self: 'a;

    fn enter(&mut self) -> Self::Entered<'_> {
        self.as_mut().map(E::enter)
    }

    fn read_response(&mut self, response: &dyn ResponseHead) -> Option<Box<ResponseHeader>> {
        self.as_mut()?.read_response(response)
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        if let Some(exchange) = self {
            exchange.response(response);
        }
    }

    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        if let Some(exchange) = self {
            exchange.long_lived(upgraded);
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

/// The exchange of an observer that has nothing to do after the request is sent.
impl Exchange for () {
    const OBSERVES_RESPONSE: bool = false;
    const END_READS_CONTEXT: bool = false;

    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _response: &dyn ResponseHead) {}

    fn end(&mut self, _end: End<'_>, _at: Instant) {}
}
