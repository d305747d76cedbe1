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
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) else {
        panic!("the future is pending");
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
}
