//! A server that fails a number of times, and a client that retries.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use reqwest_middleware::{ClientBuilder, Middleware};
use reqwest_retry::{Jitter, RetryTransientMiddleware, policies::ExponentialBackoff};
use suite_tests::{
    net::serve,
    telemetry::{TestTelemetry, integer},
};
use tower::service_fn;

/// The requests that a server received.
type ReceivedRequests = Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>;

/// Starts a server that responds 503 `times` times, then 200.
pub(crate) async fn failing(times: usize) -> (SocketAddr, ReceivedRequests) {
    let received_requests = ReceivedRequests::default();
    let address = serve(service_fn({
        let received_requests = received_requests.clone();
        move |request: Request<Incoming>| {
            let received_requests = received_requests.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mut received_requests = received_requests.lock().unwrap();
                received_requests.push((head, body));
                let mut response = Response::new(Full::new(Bytes::from_static(b"answer")));
                if received_requests.len() <= times {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                Ok::<_, Infallible>(response)
            }
        }
    }))
    .await;
    (address, received_requests)
}

/// Returns a middleware with up to three retries, without delays.
pub(crate) fn retry() -> impl Middleware {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::ZERO, Duration::ZERO)
        .jitter(Jitter::None)
        .build_with_max_retries(3);
    RetryTransientMiddleware::new_with_policy(policy)
}

/// Returns the span id in `traceparent`.
pub(crate) fn parent_id(headers: &HeaderMap) -> String {
    let traceparent = headers["traceparent"].to_str().unwrap();
    traceparent.split('-').nth(2).unwrap().to_owned()
}

pub(crate) fn trace_id(headers: &HeaderMap) -> String {
    let traceparent = headers["traceparent"].to_str().unwrap();
    traceparent.split('-').nth(1).unwrap().to_owned()
}

pub(crate) fn resends(telemetry: &TestTelemetry) -> Vec<Option<i64>> {
    let spans = telemetry.spans();
    let resends = spans
        .iter()
        .map(|s| integer(s, "http.request.resend_count"));
    resends.collect()
}

pub(crate) fn chain() -> ClientBuilder {
    ClientBuilder::new(reqwest::Client::new()).with(retry())
}
