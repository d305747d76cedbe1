//! The wrappers forward what they wrap, and exchanges are independent.

use std::{convert::Infallible, future::ready, task::Poll};

use http::{Method, Request, Response};
use http_body::Body;
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;

use crate::{
    exchange::{frames, poll, request, respond},
    recording_observer::RecordingObserver,
    scripted_body::{ScriptedBody, Step},
};

#[test]
fn size_hint_and_is_end_stream_are_those_of_the_inner_body() {
    let observer = RecordingObserver::default();
    let scripted = ScriptedBody::new([Step::Data("abc")])
        .with_end_stream()
        .exactly(3);
    let mut body = Box::pin(respond(&observer, Method::GET, Response::new(scripted)).into_body());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    frames(&mut body, 1);
    assert!(body.is_end_stream());

    let mut scripted = ScriptedBody::new([Step::Data("abc")]);
    scripted.hint.set_lower(2);
    scripted.hint.set_upper(9);
    let response = respond(&observer, Method::GET, Response::new(scripted));
    let hint = response.body().size_hint();
    assert_eq!((hint.lower(), hint.upper()), (2, Some(9)));
}

#[test]
fn two_exchanges_of_one_service_are_independent() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new([Step::Data("x")]).with_end_stream(),
        )))
    });
    let mut service = observe(observer.clone()).layer(inner);
    let first = service.call(request(Method::GET));
    let mut second = Box::pin(service.call(request(Method::GET)));
    drop(first);
    assert_eq!(observer.ends(), ["end cancelled"]);
    let Poll::Ready(Ok(response)) = poll(second.as_mut()) else {
        panic!("the response is ready");
    };
    frames(&mut Box::pin(response.into_body()), 1);
    assert_eq!(observer.ends(), ["end cancelled", "end complete"]);
}

#[test]
fn wrappers_are_send_and_sync_if_their_parts_are() {
    fn send_sync<T: Send + Sync>() {}
    send_sync::<tower_otel_core::ResponseBody<ScriptedBody, ()>>();
    fn future_is_send_sync<S: Service<Request<()>, Future: Send + Sync>>(_: S) {}
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(ScriptedBody::default())))
    });
    future_is_send_sync(observe(RecordingObserver::default()).layer(inner));
    send_sync::<tower_otel_core::Observed<(), ()>>();
}
