//! The traits of observers and exchanges.

use std::{cell::Cell, cmp::Ordering, time::Instant};

use http::{HeaderName, HeaderValue};

use crate::{
    end::End,
    head::{RequestHead, ResponseHead},
    long_lived::LongLived,
    request_info::RequestInfo,
};

/// An observer of a service. It creates one [`Exchange`] for each request.
///
/// A layer clones its observer for each service that it wraps. The clones of a service share the observer, so it must be `Sync` if
/// the service is sent to another thread.
///
/// # When it is called
///
/// 1. [`start`](Self::start) reads the request and returns the exchange.
/// 2. [`Exchange::enter`] makes the context of the exchange current.
/// 3. [`send`](Self::send) may change the request.
/// 4. The inner service is called. The other methods of the exchange follow.
pub trait Observe {
    /// The state of one exchange, from its start to its end.
    type Exchange: Exchange;

    /// Starts an exchange.
    ///
    /// `at` is the time of the start. It is the same for all observers of a layer.
    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange;

    /// Changes the request before the inner service is called. The exchange is entered during the call.
    ///
    /// An observer that changes requests must not use the exchange of `TraceLayer` or `MetricsLayer` as its
    /// [`Exchange`](Self::Exchange), because these exchanges are not always entered before `call` of axum's routes. Join both
    /// observers instead: `(layer, observer)`.
    ///
    /// Default: does nothing.
    fn send(&self, request: &mut dyn RequestHead) {
        let _ = request;
    }

    /// Returns whether [`start`](Self::start) reads the current context. If `false`, the exchange of the outer
    /// observer is not entered for this call.
    ///
    /// Default: `true`.
    fn reads_context(&self) -> bool {
        true
    }
}

/// A header that an exchange appends to a response.
pub(crate) type ResponseHeader = (HeaderName, HeaderValue);

/// The state of one exchange, from its start to its only end.
///
/// # When it is called
///
/// | method | called |
/// |---|---|
/// | [`enter`](Self::enter) | before the inner service is called, and before each poll and the drop of its future and of the response body |
/// | [`response`](Self::response) | at most once, when the response head arrives |
/// | [`data`](Self::data) | for each data frame of the response body |
/// | [`end`](Self::end) | exactly once; see [the table of events](crate#when-an-exchange-ends) |
///
/// The exchange is not entered while `size_hint` and `is_end_stream` of the body are called.
///
/// # Wrappers
///
/// An exchange that wraps another one must forward all constants and methods. The wrapped exchange neither records nor sends
/// values that are not forwarded. Three of the methods that it must forward are hidden in this documentation:
///
/// - `read_response(&mut self, &dyn ResponseHead) -> Option<Box<(HeaderName, HeaderValue)>>` is called before `response`. It
///   calls functions of the application, such as the labels of a response. It returns a header for the response of a server.
/// - `long_lived(&mut self, Option<&LongLived>)` is called after `response` if the response is a
///   [long-lived stream](crate#long-lived-streams), or an upgrade with the extension [`LongLived`].
/// - `end_order(&self) -> Option<Ordering>` decides which of two exchanges ends first, so that metrics have exemplars of kept
///   traces.
pub trait Exchange {
    /// Whether the exchange observes the response. If `false`, a `reqwest::Response` is not wrapped:
    /// the exchange ends when the response head arrives, and in middleware of `reqwest_middleware` when the
    /// request is sent.
    ///
    /// Default: `true`. It is `false` for the exchange `()`.
    const OBSERVES_RESPONSE: bool = true;

    /// Whether [`end`](Self::end) reads the current context. If `false`, the outer exchange is not
    /// entered for this call.
    ///
    /// Default: `true`.
    const END_READS_CONTEXT: bool = true;

    /// Whether the exchange only records: its observer does not [change](Observe::send) the request.
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
    /// Called before `call`, before each `poll` of the future and of the body, and before they are dropped. It is not always
    /// called before `call` of a route or a router of axum (feature `axum`), which call handlers and inner services in `poll`.
    fn enter(&mut self) -> Self::Entered<'_>;

    /// Calls the functions of the application that read the head of the response. If one panics, no
    /// exchange records the response. An exchange that wraps another one must forward the call.
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

    /// Records that the body is a long-lived stream. With `upgraded`, adds an observer of the upgraded connection instead. An
    /// exchange that wraps another one must forward the call.
    ///
    /// Default: does nothing.
    #[doc(hidden)]
    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        let _ = upgraded;
    }

    /// Records a data frame of the response body. `bytes` is the size of the frame.
    ///
    /// Default: does nothing.
    fn data(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Returns the order of the end of this exchange among joined exchanges. If the outer one returns `Less` and the inner one
    /// `Greater`, the outer one ends first, and the inner one ends in its context. Otherwise the inner one ends first. If the
    /// outer one returns an order, its [`data`](Self::data) may be called after the end of the inner one. An exchange that
    /// wraps another one must forward the call.
    ///
    /// A span whose end decides whether its trace is kept returns `Less`. Metrics return `Greater`, because they read the
    /// decision from the context.
    ///
    /// Default: `None`.
    #[doc(hidden)]
    fn end_order(&self) -> Option<Ordering> {
        None
    }

    /// Ends the exchange at the time `at`. The exchange is not entered.
    fn end(&mut self, end: End<'_>, at: Instant);

    /// Calls foreign code with a body inside the context of the exchange, then records the size of a data frame and the end
    /// that `read` finds in its output. `has_ended` is set right before the end. A wrapper may omit this method.
    ///
    /// Default: calls the other methods. An outer exchange is entered once for the code and for the end of the inner exchange.
    #[doc(hidden)]
    fn run<B, T>(
        &mut self,
        body: &mut B,
        foreign: impl FnOnce(&mut B) -> T,
        read: impl for<'t> FnOnce(&B, &'t T) -> (Option<u64>, Option<End<'t>>),
        has_ended: &Cell<bool>,
    ) -> T {
        run_and_leave(self, body, foreign, read, has_ended)
    }
}

/// Calls the methods of an exchange one after the other.
#[inline]
pub(crate) fn run_and_leave<E: Exchange + ?Sized, B, T>(
    exchange: &mut E,
    body: &mut B,
    foreign: impl FnOnce(&mut B) -> T,
    read: impl for<'t> FnOnce(&B, &'t T) -> (Option<u64>, Option<End<'t>>),
    has_ended: &Cell<bool>,
) -> T {
    let output = {
        let _entered = exchange.enter();
        foreign(body)
    };
    let (bytes, end) = read(body, &output);
    if let Some(bytes) = bytes {
        exchange.data(bytes);
    }
    if let Some(end) = end {
        has_ended.set(true);
        exchange.end(end, Instant::now());
    }
    output
}

/// An optional observer. `None` observes nothing.
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

/// An optional exchange. It is `None` for requests that are not observed.
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

    fn end_order(&self) -> Option<Ordering> {
        self.as_ref().map_or(Some(Ordering::Greater), E::end_order)
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        if let Some(exchange) = self {
            exchange.end(end, at);
        }
    }
}

/// The exchange of an observer that does nothing after the request is sent.
impl Exchange for () {
    const OBSERVES_RESPONSE: bool = false;
    const END_READS_CONTEXT: bool = false;

    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _response: &dyn ResponseHead) {}

    fn end_order(&self) -> Option<Ordering> {
        Some(Ordering::Greater)
    }

    fn end(&mut self, _end: End<'_>, _at: Instant) {}
}
