//! Runs one exchange against a server with the layers, and checks its telemetry.

use std::future::Future;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use opentelemetry::trace::{SpanKind, Status};
use suite_tests::{
    backend::Backend,
    net::{BoxError, ClientConnection, Http, serve},
    response::BoxedResponse,
    telemetry::{TestTelemetry, assert_metrics_error_type, integer, text, with_convention_names},
};
use tower::{ServiceBuilder, service_fn};
use tower_otel_core::RequestHead;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// The expected telemetry of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The `status` label of the counter.
    status: &'static str,
    /// The status code of the span.
    code: Option<i64>,
    error: Option<&'static str>,
    /// Whether the response counts as aborted.
    pub(crate) aborted: bool,
}

pub(crate) const COMPLETE: Expected = Expected {
    status: "200",
    code: Some(200),
    error: None,
    aborted: false,
};

/// Returns the expected telemetry of an exchange without a response.
pub(crate) const fn without_response(status: &'static str, error: &'static str) -> Expected {
    Expected {
        status,
        code: None,
        error: Some(error),
        aborted: false,
    }
}

/// Returns the expected telemetry of a response with this status.
pub(crate) fn with_code(
    code: StatusCode,
    status: &'static str,
    error: Option<&'static str>,
) -> Expected {
    Expected {
        status,
        code: Some(i64::from(code.as_u16())),
        error,
        aborted: false,
    }
}

/// Returns the expected telemetry of an exchange whose body is aborted.
pub(crate) const fn aborted(error: &'static str) -> Expected {
    Expected {
        error: Some(error),
        aborted: true,
        ..COMPLETE
    }
}

/// Serves `handle` behind the layers, runs `client` against it and checks the telemetry, over both protocols.
pub(crate) async fn exchange<H, F>(
    handle: H,
    client: impl AsyncFn(ClientConnection),
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
{
    for http in [Http::One, Http::Two] {
        exchange_over(http, handle.clone(), &client, expected).await;
    }
}

pub(crate) async fn exchange_over<H, F>(
    http: Http,
    handle: H,
    client: impl AsyncFn(ClientConnection),
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
{
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let route = |_: &dyn RequestHead| Some("/things/{id}".into());
        let spans = TraceLayer::server().route(route);
        let metrics = MetricsLayer::server().route(route);
        let service = ServiceBuilder::new()
            .layer(backend.layer(telemetry.source(), spans))
            .layer(metrics)
            .layer(with_convention_names(MetricsLayer::server()))
            .service(service_fn(handle.clone()));
        let address = serve(service).await;
        client(ClientConnection::connect(http, address).await).await;
        assert_recorded(&telemetry, expected).await;
    }
}

async fn assert_recorded(telemetry: &TestTelemetry, expected: Expected) {
    let span = &telemetry.only_span("http").await;
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(integer(span, "http.response.status_code"), expected.code);
    assert_eq!(text(span, "error.type").as_deref(), expected.error);
    assert_eq!(
        span.status,
        match expected.error {
            Some(_) => Status::error(""),
            None => Status::Unset,
        }
    );
    assert_metrics_error_type(telemetry, "server", expected.error);
    let path = ("path", "/things/{id}");
    let metrics = telemetry.metrics();
    for (metric, labels, value) in [
        (
            "http_requests_total",
            &[path, ("status", expected.status)][..],
            1.0,
        ),
        ("http_requests_total", &[], 1.0),
        ("http_request_duration_seconds_count", &[path], 1.0),
        ("http_request_duration_seconds_count", &[], 1.0),
        (
            "http_responses_aborted_total",
            &[],
            f64::from(u8::from(expected.aborted)),
        ),
        ("http_requests_in_flight", &[], 0.0),
    ] {
        assert_eq!(
            telemetry.sum(metric, labels),
            value,
            "{metric}{labels:?} in\n{metrics}"
        );
    }
}

pub(crate) fn get() -> Request<Empty<Bytes>> {
    request(Method::GET)
}

pub(crate) fn request(method: Method) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(method)
        .uri("http://127.0.0.1/things/7")
        .header(header::HOST, "127.0.0.1")
        .header(header::TE, "trailers")
        .body(Empty::new())
        .unwrap()
}

/// Reads a response until it ends or fails.
pub(crate) async fn read(mut connection: ClientConnection, request: Request<Empty<Bytes>>) {
    if let Ok(response) = connection.send(request).await {
        let _ = response.into_body().collect().await;
    }
}

/// Sends a request with `GET` and reads the response until it ends or fails.
pub(crate) async fn read_get(connection: ClientConnection) {
    read(connection, get()).await;
}
