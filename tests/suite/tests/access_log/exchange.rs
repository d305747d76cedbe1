//! One exchange with a scripted response.

use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll, Waker},
};

use http::{HeaderMap, HeaderValue, Request, header};
use http_body::{Body, Frame};
use http_body_util::{Full, StreamBody};
use suite_tests::{
    backend::AnyTraceLayer,
    net::BoxError,
    response::{BoxedResponse, boxed_response},
};
use tower::{Layer, Service, service_fn};

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<BoxedResponse, io::Error>>>>;

/// Returns the response to a unary gRPC call, with this status in its trailers.
pub(crate) fn grpc(status: &'static str) -> BoxedResponse {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [
        Ok::<_, BoxError>(Frame::data("12345".into())),
        Ok(Frame::trailers(trailers)),
    ];
    let mut response = boxed_response(StreamBody::new(tokio_stream::iter(frames)));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// Returns the response to a refused gRPC call, with this status in its head.
pub(crate) fn refused(status: &'static str) -> BoxedResponse {
    let mut response = boxed_response(Full::default());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-status", HeaderValue::from_static(status));
    response
}

pub(crate) fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

pub(crate) fn call(path: &str) -> Request<()> {
    let request = Request::post(path).version(http::Version::HTTP_2);
    let request = request.header(header::CONTENT_TYPE, "application/grpc");
    request.body(()).unwrap()
}

/// The part of the response that the caller reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read {
    /// Polls the future once, and drops it.
    Head,
    /// Reads one frame, and drops the body.
    OneFrame,
    ToTheEnd,
}

/// Sends a request through the layer, without a runtime. Returns whether the exchange panicked.
pub(crate) fn exchange(
    layer: &AnyTraceLayer,
    request: Request<()>,
    handler: impl Fn() -> HandlerFuture,
    read: Read,
) -> bool {
    let run = || {
        let mut service = layer.layer(service_fn(|_: Request<()>| handler()));
        let cx = &mut TaskContext::from_waker(Waker::noop());
        let future = service.call(request);
        let Poll::Ready(Ok(response)) = pin!(future).poll(cx) else {
            return;
        };
        let mut body = pin!(response.into_body());
        let mut frame = || {
            body.as_mut()
                .poll_frame(&mut TaskContext::from_waker(Waker::noop()))
        };
        match read {
            Read::Head => {}
            Read::OneFrame => drop(frame()),
            Read::ToTheEnd => while let Poll::Ready(Some(Ok(_))) = frame() {},
        }
    };
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

pub(crate) fn respond(response: BoxedResponse) -> HandlerFuture {
    Box::pin(async { Ok(response) })
}
