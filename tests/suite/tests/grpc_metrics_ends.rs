//! Ends of gRPC calls that well-behaved peers do not cause: metrics have the status and the error of the span.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    future::{Future, pending},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Empty;
use suite_tests::{
    backend::Backend,
    grpc_calls::{ExpectedStatus, assert_status},
    net::{BoxError, ScriptedBody, Step},
    telemetry::{TestTelemetry, with_convention_names},
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{Kind, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

type CallFuture = Pin<Box<dyn Future<Output = Result<Response<ScriptedBody>, BoxError>>>>;

/// Responds or fails by the name of the method.
fn respond(request: Request<Empty<Bytes>>) -> CallFuture {
    let path = request.uri().path();
    let (_, method) = path.rsplit_once('/').unwrap();
    let steps = match method {
        "refused" => {
            let error = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Box::pin(async { Err(error.into()) });
        }
        "status-error" => {
            return Box::pin(async { Err(tonic::Status::data_loss("").into()) });
        }
        "call-panics" => panic!("the call panics"),
        "future-panics" => return Box::pin(async { panic!("the future panics") }),
        "cancelled" => return Box::pin(pending()),
        "body-fails" => vec![Step::Data("a"), Step::Error],
        "body-panics" => vec![Step::Data("a"), Step::Panic],
        "aborted" => vec![Step::Data("a"), Step::Pending],
        "no-status" => vec![Step::Data("a"), Step::Trailers],
        _ => Vec::new(),
    };
    let mut response = Response::new(ScriptedBody::new(steps));
    let content_type = "application/grpc".parse().unwrap();
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    if method == "http-503" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Box::pin(async { Ok(response) })
}

/// Makes a call, and drops it when it is pending, fails or panics.
fn call<S, B>(service: &mut S, method: &str)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    B: Body,
{
    let request = Request::post(format!("http://shop.internal:50051/shop.Cart/{method}"))
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc")
        .body(Empty::new())
        .unwrap();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut future = pin!(service.call(request));
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
        }
    }));
}

fn assert_end(kind: Kind, method: &str, expected: ExpectedStatus) {
    let telemetry = TestTelemetry::new();
    let (trace, metrics) = match kind {
        Kind::Server => (TraceLayer::server(), MetricsLayer::server()),
        Kind::Client => (TraceLayer::client(), MetricsLayer::client()),
    };
    let trace = Backend::Recorder.layer(telemetry.source(), trace.grpc());
    let metrics = metrics.grpc();
    let layer = observe((trace, (metrics.clone(), with_convention_names(metrics))));
    call(&mut layer.layer(service_fn(respond)), method);

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 1, "{method}");
    assert_status(&spans[0], expected);
    let (status, error) = expected;
    let (short, by_conventions) = match kind {
        Kind::Server => ("grpc", "conventions_rpc_server_call_duration_seconds_count"),
        Kind::Client => (
            "grpc_client",
            "conventions_rpc_client_call_duration_seconds_count",
        ),
    };
    let metrics = telemetry.metrics();
    for (name, labels) in [
        (format!("{short}_requests_total"), vec![("status", status)]),
        (format!("{short}_request_duration_seconds_count"), vec![]),
        (
            by_conventions.to_owned(),
            [("rpc_status_code", status)]
                .into_iter()
                .chain(error.map(|error| ("error_type", error)))
                .collect(),
        ),
    ] {
        assert_eq!(telemetry.sum(&name, &[]), 1.0, "{method}: {metrics}");
        assert_eq!(telemetry.sum(&name, &labels), 1.0, "{method}: {metrics}");
    }
    assert_eq!(metrics.contains("error_type"), error.is_some(), "{metrics}");
    let in_flight = format!("{short}_requests_in_flight");
    assert_eq!(telemetry.sum(&in_flight, &[]), 0.0, "{metrics}");
    assert!(!metrics.contains("http_"), "{metrics}");
}

/// The end, then status and error of the server, then status and error of the client.
const ENDS: &str = "
    refused        UNKNOWN      connection_refused  UNAVAILABLE        connection_refused
    status-error   DATA_LOSS    DATA_LOSS           DATA_LOSS          DATA_LOSS
    call-panics    UNKNOWN      panic               UNKNOWN            panic
    future-panics  UNKNOWN      panic               UNKNOWN            panic
    cancelled      CANCELLED    -                   CANCELLED          CANCELLED
    body-fails     UNKNOWN      timeout             DEADLINE_EXCEEDED  DEADLINE_EXCEEDED
    body-panics    UNKNOWN      panic               UNKNOWN            panic
    aborted        CANCELLED    -                   CANCELLED          CANCELLED
    no-status      UNKNOWN      UNKNOWN             UNKNOWN            UNKNOWN
    http-503       UNAVAILABLE  UNAVAILABLE         UNAVAILABLE        UNAVAILABLE
";

#[test]
fn metrics_have_the_status_and_the_error_of_the_span() {
    for line in ENDS.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        let expected = |at: usize| (words[at], Some(words[at + 1]).filter(|error| *error != "-"));
        assert_end(Kind::Server, words[0], expected(1));
        assert_end(Kind::Client, words[0], expected(3));
    }
}
