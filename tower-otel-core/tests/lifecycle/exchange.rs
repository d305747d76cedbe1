//! Runs one exchange with a scripted response.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;

use crate::{recording_observer::RecordingObserver, scripted_body::ScriptedBody};

pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn request(method: Method) -> Request<()> {
    Request::builder().method(method).body(()).unwrap()
}

pub(crate) fn respond<B>(
    observer: &RecordingObserver,
    method: Method,
    response: Response<B>,
) -> Response<impl Body<Data = Bytes>>
where
    B: Body<Data = Bytes, Error = std::io::Error>,
{
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<()>| {
        ready(Ok::<_, Infallible>(response.take().expect("one call")))
    });
    let mut service = observe(observer.clone()).layer(inner);
    match poll(pin!(service.call(request(method)))) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("the response is ready"),
    }
}

pub(crate) fn frames(body: &mut (impl Body<Data = Bytes> + Unpin), limit: usize) -> usize {
    let mut frames = 0;
    while frames < limit {
        match Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(_))) => frames += 1,
            _ => break,
        }
    }
    frames
}

/// Responds to `GET` with the body, reads `frames_read` frames of it, drops it and returns the ends.
pub(crate) fn ends_after_reading(scripted: ScriptedBody, frames_read: usize) -> Vec<String> {
    let observer = RecordingObserver::default();
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    frames(&mut body, frames_read);
    drop(body);
    observer.ends()
}
