//! In which calls an exchange around a route of axum is entered.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Waker},
    time::Instant,
};

use axum::{Router, body::Body};
use http::{Request, Response};
use tower::{Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};

/// Counts how often an exchange is entered. `RECORDS` is what it declares of itself.
#[derive(Clone, Default)]
struct Entries<const RECORDS: bool>(Arc<Counts>);

#[derive(Default)]
struct Counts {
    entries: AtomicU32,
    depth: AtomicU32,
}

/// Leaves the exchange.
struct Entered<'a>(&'a Counts);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.depth.fetch_sub(1, Relaxed);
    }
}

impl<const RECORDS: bool> Observe for Entries<RECORDS> {
    type Exchange = Self;

    fn start(&self, _request: &RequestInfo<'_>, _at: Instant) -> Self {
        self.clone()
    }
}

impl<const RECORDS: bool> Exchange for Entries<RECORDS> {
    const ONLY_RECORDS: bool = RECORDS;

    type Entered<'a> = Entered<'a>;

    fn enter(&mut self) -> Entered<'_> {
        self.0.entries.fetch_add(1, Relaxed);
        self.0.depth.fetch_add(1, Relaxed);
        Entered(&self.0)
    }

    fn response(&mut self, _response: &dyn ResponseHead) {}

    fn end(&mut self, _end: End<'_>, _at: Instant) {}
}

/// Returns how often the exchange of one request is entered until the response, and how often while the handler runs.
fn entries<const RECORDS: bool>() -> (u32, u32) {
    let observer = Entries::<RECORDS>::default();
    let counts = Arc::clone(&observer.0);
    let handler = service_fn(move |_: Request<Body>| {
        let depth = counts.depth.load(Relaxed);
        let response = Response::builder()
            .header("depth", depth)
            .body(Body::empty());
        ready(Ok::<_, Infallible>(response.unwrap()))
    });
    let counts = Arc::clone(&observer.0);
    let mut router = Router::new()
        .route_service("/", handler)
        .layer(observe(observer));
    let response = pin!(router.call(Request::new(Body::empty())));
    let cx = &mut Context::from_waker(Waker::noop());
    let std::task::Poll::Ready(Ok(response)) = response.poll(cx) else {
        panic!("the response is ready");
    };
    let depth = response.headers().get("depth").unwrap().to_str().unwrap();
    (counts.entries.load(Relaxed), depth.parse().unwrap())
}

#[test]
fn an_exchange_that_only_records_is_entered_for_the_poll_of_a_route_and_not_for_its_call() {
    assert_eq!(entries::<true>(), (1, 1));
}

#[test]
fn an_exchange_that_may_change_the_request_is_entered_for_both() {
    assert_eq!(entries::<false>(), (2, 1));
}
