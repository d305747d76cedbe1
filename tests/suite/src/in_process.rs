//! Exchanges without sockets and without a runtime, for measurements.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;

/// A handler whose response is ready immediately.
pub fn hello(_: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::from("hello"))))
}

/// Runs one exchange to the end of its body, without a runtime.
pub fn exchange<S, B>(service: &mut S, request: Request<()>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    assert!(poll_to_end(service, request), "the future is pending");
}

/// Polls one exchange while it is ready. Returns whether it has a response.
pub fn poll_to_end<S, Q, B>(service: &mut S, request: Request<Q>) -> bool
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Body,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) else {
        return false;
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
    true
}
