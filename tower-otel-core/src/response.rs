//! Wraps a response, and detects from its head whether a body follows.

use http::{HeaderMap, Method, StatusCode};
use http_body::Body;
use tower_otel_semconv::{content_length, rpc};

use crate::{
    body::ResponseBody,
    end::End,
    exchange_guard::ExchangeGuard,
    head::ResponseHead,
    long_lived::{LongLived, is_long_lived},
    observe::{Exchange, ResponseHeader},
};

/// The response body that a request allows, by its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyExpectation {
    /// The response may have a body.
    Content,
    /// The request is a `HEAD`: the response has no body, regardless of its headers.
    HeadOnly,
    /// The request is a `CONNECT`: a success turns the connection into a tunnel.
    Tunnel,
}

impl BodyExpectation {
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::HeadOnly,
            Method::CONNECT => Self::Tunnel,
            _ => Self::Content,
        }
    }

    /// Returns the end of an exchange whose response has no body. Returns `None` if a body follows.
    ///
    /// Servers drop an empty body without polling it, so the exchange ends with the response head.
    pub(crate) fn end_at_head(
        self,
        status: StatusCode,
        is_end_stream: bool,
    ) -> Option<End<'static>> {
        if status == StatusCode::SWITCHING_PROTOCOLS || self == Self::Tunnel && status.is_success()
        {
            return Some(End::Upgraded);
        }
        let has_no_body = self == Self::HeadOnly
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        (has_no_body || is_end_stream).then_some(End::Complete { trailers: None })
    }
}

/// A response whose body can be observed to its end.
///
/// Implemented for [`http::Response`] with any [`Body`] and, with the feature `reqwest`, for
/// `reqwest::Response`. Sealed: only this crate can create an [`ExchangeGuard`].
pub trait WrapResponse<E: Exchange>: ResponseHead {
    /// The same response with the observed body.
    type Wrapped;

    /// Passes the head to the exchange, and moves the exchange into the body if one follows.
    fn wrap(self, guard: ExchangeGuard<E>, expectation: BodyExpectation) -> Self::Wrapped;
}

impl<B, E> WrapResponse<E> for http::Response<B>
where
    B: Body<Error: std::fmt::Display + 'static>,
    E: Exchange,
{
    type Wrapped = http::Response<ResponseBody<B, E>>;

    fn wrap(mut self, mut guard: ExchangeGuard<E>, expectation: BodyExpectation) -> Self::Wrapped {
        // Before the response is recorded, because the body may panic.
        let announced = AnnouncedBody::of(&mut guard, self.body());
        let header = guard.response(&self);
        if let Some(header) = header {
            append(self.headers_mut(), *header);
        }
        let expected = end_at_head(&mut guard, &self, announced, expectation);
        self.map(|body| ResponseBody::new(body, guard, expected))
    }
}

/// Appends a header, unless the map is full.
#[cold]
fn append(headers: &mut HeaderMap, (name, value): ResponseHeader) {
    let _ = headers.try_append(name, value);
}

/// The end and the size that a body reports before it is polled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnnouncedBody {
    is_end_stream: bool,
    exact_size: Option<u64>,
}

impl AnnouncedBody {
    pub(crate) fn of<E: Exchange>(guard: &mut ExchangeGuard<E>, body: &impl Body) -> Self {
        guard.query(|| Self {
            is_end_stream: body.is_end_stream(),
            exact_size: body.size_hint().exact(),
        })
    }
}

/// Ends the exchange if no body follows. Returns the expected number of bytes of the body.
pub(crate) fn end_at_head<B, E: Exchange>(
    guard: &mut ExchangeGuard<E>,
    response: &http::Response<B>,
    announced: AnnouncedBody,
    expectation: BodyExpectation,
) -> Option<u64> {
    if let Some(end) = expectation.end_at_head(response.status(), announced.is_end_stream) {
        if let End::Upgraded = end {
            upgraded(guard, response);
        }
        guard.end(end);
    }
    announced
        .exact_size
        .or_else(|| content_length(response.headers()))
        .or_else(|| stream(guard, response))
}

/// Adds the observers of an upgraded connection, if the response has the extension [`LongLived`].
#[cold]
pub(crate) fn upgraded<E: Exchange>(guard: &mut ExchangeGuard<E>, response: &dyn ResponseHead) {
    if let Some(connection) = response.extensions().get::<LongLived>() {
        guard.long_lived(Some(connection));
    }
}

/// Records a long-lived stream. Returns `Some(0)`, so that the stream is complete whenever it is dropped. Returns `None` for a
/// gRPC call, because its status is in its trailers.
#[inline(never)]
fn stream<E: Exchange>(guard: &mut ExchangeGuard<E>, response: &dyn ResponseHead) -> Option<u64> {
    if !guard.is_open() || !is_long_lived(response) {
        return None;
    }
    guard.long_lived(None);
    (!rpc::is_grpc(response.headers())).then_some(0)
}
