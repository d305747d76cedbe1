//! An observer of an application that panics in one of its methods: every observer that has started ends once, and the panic
//! reaches the caller.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestHead, RequestInfo, ResponseHead, observe};

const PAYLOAD: &str = "of the observer";

/// A method of an observer or of its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Start,
    Send,
    Enter,
    Response,
    Data,
    End,
}

use Method::{Data, Enter, Send, Start};

/// Panics in one method. Counts the starts and the ends.
#[derive(Clone)]
struct Observer {
    panics: Option<Method>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Observer {
    fn new(panics: Option<Method>) -> Self {
        Self {
            panics,
            calls: Arc::default(),
        }
    }

    fn call(&self, method: Method) {
        if self.panics == Some(method) {
            // Unwinds like a panic, without printing a message.
            resume_unwind(Box::new(PAYLOAD));
        }
    }

    fn write(&self, entry: &str) {
        self.calls.lock().unwrap().push(entry.to_owned());
    }

    fn read(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Observe for Observer {
    type Exchange = Self;

    fn start(&self, _: &RequestInfo<'_>, _: Instant) -> Self {
        self.call(Start);
        self.write("start");
        self.clone()
    }

    fn send(&self, _: &mut dyn RequestHead) {
        self.call(Send);
    }
}

impl Exchange for Observer {
    type Entered<'a> = ();

    fn enter(&mut self) {
        self.call(Enter);
    }

    fn response(&mut self, _: &dyn ResponseHead) {
        self.call(Method::Response);
    }

    fn data(&mut self, _: u64) {
        self.call(Data);
    }

    fn end(&mut self, end: End<'_>, _: Instant) {
        self.write(match end {
            End::Panicked => "panicked",
            End::Complete { .. } => "complete",
            _ => "otherwise",
        });
        self.call(Method::End);
    }
}

/// A body of one frame and of unknown length.
struct Hello(Option<Bytes>);

impl Body for Hello {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

fn hello(_: Request<()>) -> Ready<Result<Response<Hello>, Infallible>> {
    let hello = Bytes::from_static(b"hello");
    ready(Ok(Response::new(Hello(Some(hello)))))
}

/// Makes an exchange. Returns what it panics with.
fn exchange<O: Observe + Clone>(observer: O) -> Option<&'static str> {
    let mut service = observe(observer).layer(service_fn(hello));
    let exchange = AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut future = pin!(service.call(Request::new(())));
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
        }
    });
    catch_unwind(exchange).err()?.downcast_ref().copied()
}

#[test]
fn observers_end_once_if_another_one_panics() {
    for panics in [Start, Send, Enter, Method::Response, Data, Method::End] {
        for outside in [true, false] {
            let case = format!("{panics:?}, the other one outside: {outside}");
            let (panicking, other) = (Observer::new(Some(panics)), Observer::new(None));
            let payload = match outside {
                true => exchange((other.clone(), panicking.clone())),
                false => exchange((panicking.clone(), other.clone())),
            };
            assert_eq!(payload, Some(PAYLOAD), "{case}");
            let end = match panics {
                Method::End => "complete",
                _ => "panicked",
            };
            let none: &[&str] = &[];
            let started = ["start", end];
            // Inside of an observer that panics when it starts, no other one starts.
            let others = match (panics, outside) {
                (Start | Enter, false) => none,
                _ => &started,
            };
            let own = if panics == Start { none } else { &started };
            assert_eq!(other.read(), others, "{case}");
            assert_eq!(panicking.read(), own, "{case}");
        }
    }
}
