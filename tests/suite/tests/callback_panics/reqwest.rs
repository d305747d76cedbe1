//! Layers around a client of reqwest.

use std::{future::ready, pin::Pin};

use http::{Extensions, Response};
use reqwest_middleware::{ClientBuilder, Next};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;

use crate::case::{Case, Kind, cases, panic_of};

/// Middleware that responds without a connection.
fn respond<'a>(
    _: reqwest::Request,
    _: &'a mut Extensions,
    _: Next<'a>,
) -> Pin<Box<dyn Future<Output = reqwest_middleware::Result<reqwest::Response>> + Send + 'a>> {
    Box::pin(ready(Ok(reqwest_response())))
}

fn reqwest_request() -> reqwest::Request {
    reqwest::Request::new(http::Method::GET, "http://api.example/".parse().unwrap())
}

fn reqwest_response() -> reqwest::Response {
    Response::new("hello").into()
}

fn client_cases(run: impl Fn(Case)) {
    cases(|case| {
        if case.kind == Kind::Client {
            run(case);
        }
    });
}

#[test]
fn a_client_of_reqwest_ends_as_panic() {
    client_cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        let mut client = observe(layers).layer(service_fn(|_: reqwest::Request| {
            ready(Ok::<_, reqwest::Error>(reqwest_response()))
        }));
        let exchange = async { client.call(reqwest_request()).await };
        case.assert_payload(panic_of(&case, exchange));
        case.assert_panicked();
    });
}

#[test]
fn middleware_of_reqwest_ends_as_panic() {
    client_cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(observe(layers).into_middleware())
            .with(respond)
            .build();
        case.assert_payload(panic_of(&case, client.execute(reqwest_request())));
        case.assert_panicked();
    });
}
