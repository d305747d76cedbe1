//! A future ends once: failed, cancelled or dropped by a panic.

use std::{
    convert::Infallible,
    future::{pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use http::{Method, Request, Response};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;

use crate::{
    exchange::{poll, request},
    recording_observer::RecordingObserver,
    scripted_body::ScriptedBody,
};

#[test]
fn a_failed_service_ends_once_and_its_error_is_unchanged() {
    let observer = RecordingObserver::default();
    let inner = service_fn(|_: Request<()>| {
        ready(Err::<Response<ScriptedBody>, _>(std::io::Error::other(
            "no",
        )))
    });
    let mut service = observe(observer.clone()).layer(inner);
    let Poll::Ready(Err(error)) = poll(pin!(service.call(request(Method::GET)))) else {
        panic!("the service fails");
    };
    assert_eq!(error.to_string(), "no");
    assert_eq!(observer.read(), ["start GET depth 0", "end failed: no"]);
}

#[test]
fn a_future_dropped_before_its_response_is_cancelled() {
    let observer = RecordingObserver::default();
    let inner =
        service_fn(|_: Request<()>| pending::<Result<Response<ScriptedBody>, Infallible>>());
    let mut service = observe(observer.clone()).layer(inner);
    {
        let mut future = pin!(service.call(request(Method::GET)));
        assert!(poll(future.as_mut()).is_pending());
    }
    drop(service.call(request(Method::GET)));
    assert_eq!(observer.ends(), ["end cancelled", "end cancelled"]);
}

#[test]
fn a_future_dropped_by_an_unrelated_panic_is_cancelled() {
    let observer = RecordingObserver::default();
    let inner =
        service_fn(|_: Request<()>| pending::<Result<Response<ScriptedBody>, Infallible>>());
    let mut service = observe(observer.clone()).layer(inner);
    let future = service.call(request(Method::GET));
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _future = future;
        panic!("an unrelated panic");
    }));
    assert!(unwound.is_err());
    assert_eq!(observer.ends(), ["end cancelled"]);
}
