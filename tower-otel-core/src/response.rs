//! What the head of a response says about its body, and how a response is wrapped.

use http::{Method, StatusCode};
use http_body::Body;
use tower_otel_semconv::content_length;

use crate::{End, Exchange, ResponseHead, body::ResponseBody, recording::Recording};

/// What sort of response a request's method lets follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// A response that may have a body: to any other method.
    Content,
    /// To `HEAD`: it never has a body, whatever its headers say.
    HeadOnly,
    /// To `CONNECT`: success turns the connection into a tunnel.
    Tunnel,
}

impl ResponseKind {
    pub(crate) fn by(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::HeadOnly,
            Method::CONNECT => Self::Tunnel,
            _ => Self::Content,
        }
    }

    /// How an exchange ends at the head of its response, if no body is to follow.
    ///
    /// Servers drop such bodies without polling them, so their end cannot be waited for.
    pub(crate) fn end_at_head(
        self,
        status: StatusCode,
        body_is_at_its_end: bool,
    ) -> Option<End<'static>> {
        if status == StatusCode::SWITCHING_PROTOCOLS || self == Self::Tunnel && status.is_success()
        {
            return Some(End::Upgraded);
        }
        let bodiless = self == Self::HeadOnly
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        (bodiless || body_is_at_its_end).then_some(End::Complete { trailers: None })
    }
}

/// A response whose body an exchange can follow to its end.
///
/// Implemented for [`http::Response`] with any [`Body`] and, with the feature `reqwest`, for
/// `reqwest::Response`. It is sealed by [`Recording`], which only this crate can make.
pub trait WrapResponse<E: Exchange>: ResponseHead {
    /// The same response around the observed body.
    type Wrapped;

    /// Tells the exchange about the response, and moves it into the body if that is still to come.
    fn wrap(self, recording: Recording<E>, kind: ResponseKind) -> Self::Wrapped;
}

impl<B, E> WrapResponse<E> for http::Response<B>
where
    B: Body<Error: std::fmt::Display + 'static>,
    E: Exchange,
{
    type Wrapped = http::Response<ResponseBody<B, E>>;

    fn wrap(self, mut recording: Recording<E>, kind: ResponseKind) -> Self::Wrapped {
        // First, because the body may unwind: then nobody is given this response.
        let promise = Promise::of(&mut recording, self.body());
        recording.response(&self);
        let expected = settle(&mut recording, &self, promise, kind);
        self.map(|body| ResponseBody::new(body, recording, expected))
    }
}

/// What a body says of itself before it is polled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    at_end: bool,
    exact: Option<u64>,
}

impl Promise {
    pub(crate) fn of<E: Exchange>(recording: &mut Recording<E>, body: &impl Body) -> Self {
        recording.ask(|| Self {
            at_end: body.is_end_stream(),
            exact: body.size_hint().exact(),
        })
    }
}

/// Ends the exchange if no body is to follow, and says how many bytes of it are due.
pub(crate) fn settle<B, E: Exchange>(
    recording: &mut Recording<E>,
    response: &http::Response<B>,
    Promise { at_end, exact }: Promise,
    kind: ResponseKind,
) -> Option<u64> {
    if let Some(end) = kind.end_at_head(response.status(), at_end) {
        recording.end(end);
    }
    exact.or_else(|| content_length(response.headers()))
}
