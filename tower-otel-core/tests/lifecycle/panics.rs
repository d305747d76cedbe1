//! A panic of the inner service or of its body ends the exchange once and continues.

use std::{
    convert::Infallible,
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Buf;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{Observe, RequestInfo, observe};

use crate::{
    exchange::{frames, poll, request, respond},
    recording_observer::RecordingObserver,
    scripted_body::{ScriptedBody, Step},
};

#[test]
fn a_body_that_panics_ends_once_and_the_panic_continues() {
    let observer = RecordingObserver::default();
    let scripted = ScriptedBody::new([Step::Data("ab"), Step::Panic]);
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    assert_eq!(frames(&mut body, 1), 1);
    let panicked = catch_unwind(AssertUnwindSafe(|| frames(&mut body, 1)));
    assert!(panicked.is_err(), "the panic is not swallowed");
    drop(body);
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_response_whose_body_panics_is_not_recorded() {
    let observer = RecordingObserver::default();
    let mut scripted = ScriptedBody::new([Step::Data("ab")]);
    scripted.panics_in_is_end_stream = true;
    let response = Response::new(scripted);
    let responded = catch_unwind(AssertUnwindSafe(|| {
        drop(respond(&observer, Method::GET, response));
    }));
    assert!(responded.is_err());
    assert_eq!(observer.read(), ["start GET depth 0", "end panicked"]);
}

#[test]
fn a_body_that_panics_when_dropped_ends_once() {
    let observer = RecordingObserver::default();
    let mut scripted = ScriptedBody::new([Step::Data("ab")]);
    scripted.panics_in_drop = true;
    let response = respond(&observer, Method::GET, Response::new(scripted));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(response))).is_err());
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_body_dropped_by_an_unrelated_panic_is_aborted_not_panicked() {
    let observer = RecordingObserver::default();
    let response = respond(
        &observer,
        Method::GET,
        Response::new(ScriptedBody::new([Step::Pending])),
    );
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _response = response;
        panic!("an unrelated panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(observer.ends(), ["end aborted"]);
}

/// Data whose length panics.
struct PanickingData;

impl Buf for PanickingData {
    fn remaining(&self) -> usize {
        panic!("remaining panics");
    }

    fn chunk(&self) -> &[u8] {
        &[]
    }

    fn advance(&mut self, _: usize) {}
}

#[test]
fn data_that_panics_ends_the_exchange_as_panicked() {
    struct OneFrame;
    impl Body for OneFrame {
        type Data = PanickingData;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<PanickingData>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(PanickingData))))
        }
    }

    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(OneFrame))));
    let mut service = observe(observer.clone()).layer(inner);
    let Poll::Ready(Ok(response)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the response is ready");
    };
    let mut body = Box::pin(response.into_body());
    let mut poll = || {
        body.as_mut()
            .poll_frame(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    };
    assert!(catch_unwind(AssertUnwindSafe(&mut poll)).is_err());
    drop(body);
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_panic_in_call_ends_the_exchange() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| {
        if true {
            panic!("call panics");
        }
        ready(Ok::<Response<ScriptedBody>, Infallible>(Response::default()))
    });
    let mut service = observe(observer.clone()).layer(inner);
    let call = catch_unwind(AssertUnwindSafe(|| {
        drop(service.call(request(Method::GET)))
    }));
    assert!(call.is_err());
    assert_eq!(observer.ends(), ["end panicked"]);
}

#[test]
fn a_future_that_is_polled_after_a_panic_panics_again() {
    #[derive(Clone)]
    struct Panics;
    impl Observe for Panics {
        type Exchange = RecordingObserver;

        fn start(&self, _request: &RequestInfo<'_>, _at: Instant) -> RecordingObserver {
            panic!("start panics");
        }
    }
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(ScriptedBody::default())))
    });
    let mut service = observe(Panics).layer(inner);
    let mut future = Box::pin(service.call(request(Method::GET)));
    for expected in [
        "start panics",
        "the future was polled after it had panicked",
    ] {
        let polled = catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()).is_ready()));
        let payload = polled.expect_err(expected);
        assert_eq!(payload.downcast_ref::<&str>(), Some(&expected));
    }
}

#[test]
fn a_panic_while_polling_ends_the_exchange_once() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| async {
        if true {
            panic!("poll panics");
        }
        Ok::<Response<ScriptedBody>, Infallible>(Response::default())
    });
    let mut service = observe(observer.clone()).layer(inner);
    let mut future = Box::pin(service.call(request(Method::GET)));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
    drop(future);
    assert_eq!(observer.ends(), ["end panicked"]);
}
