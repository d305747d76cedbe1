//! Responses with a body of one type, whatever it is made of.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

use crate::net::{BoxError, ScriptedBody, Step};

/// A response whose body has any source.
pub type BoxedResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Returns a response with this body.
pub fn boxed_response<B>(body: B) -> BoxedResponse
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

/// Returns a response with a `Content-Length`.
pub fn full(text: &'static str) -> BoxedResponse {
    boxed_response(Full::<Bytes>::from(text))
}

/// Returns a response whose body follows these steps.
pub fn scripted(steps: impl IntoIterator<Item = Step>) -> BoxedResponse {
    boxed_response(ScriptedBody::new(steps))
}

/// Returns the response with another status.
pub fn with_status(status: StatusCode, mut response: BoxedResponse) -> BoxedResponse {
    *response.status_mut() = status;
    response
}
