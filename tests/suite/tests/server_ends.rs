//! All ends of a server exchange, over real sockets: span, counter, histogram and gauge record each
//! exchange once, with the same `error.type`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use opentelemetry::trace::{SpanKind, Status};
use suite_tests::{
    backend::Backend,
    net::{BoxError, ClientConnection, Http, ScriptedBody, Step, serve},
    telemetry::{
        TestTelemetry, assert_metrics_error_type, integer, text, with_convention_names,
        with_timeout,
    },
};
use tokio::sync::Notify;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::RequestHead;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

type BoxedResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The expected telemetry of an exchange.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// The `status` label of the counter.
    status: &'static str,
    /// The status code of the span.
    code: Option<i64>,
    error: Option<&'static str>,
    /// Whether the response counts as aborted.
    aborted: bool,
}

const COMPLETE: Expected = Expected {
    status: "200",
    code: Some(200),
    error: None,
    aborted: false,
};

fn boxed_response<B>(body: B) -> BoxedResponse
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

/// Serves `handle` behind the layers, runs `client` against it and checks the telemetry.
async fn exchange<H, F, C>(
    http: Http,
    handle: H,
    client: impl Fn(ClientConnection) -> C,
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
    C: Future<Output = ()>,
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
    telemetry
        .wait_until("the exchange ends", |telemetry| {
            !telemetry.spans().is_empty()
                && telemetry.sum("http_requests_total", &[]) > 0.0
                && telemetry.sum("http_requests_in_flight", &[]) == 0.0
        })
        .await;
    let spans = telemetry.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
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

fn get() -> Request<Empty<Bytes>> {
    request(Method::GET)
}

fn request(method: Method) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(method)
        .uri("http://127.0.0.1/things/7")
        .header(header::HOST, "127.0.0.1")
        .header(header::TE, "trailers")
        .body(Empty::new())
        .unwrap()
}

/// Reads a response until it ends or fails.
async fn read(mut connection: ClientConnection, request: Request<Empty<Bytes>>) {
    if let Ok(response) = connection.send(request).await {
        let _ = response.into_body().collect().await;
    }
}

async fn for_each_protocol<T: Future<Output = ()>>(test: impl Fn(Http) -> T) {
    for http in [Http::One, Http::Two] {
        test(http).await;
    }
}

#[tokio::test]
async fn a_body_that_is_never_polled_past_its_content_length_is_complete() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async { Ok(boxed_response(Full::new(Bytes::from_static(b"whole")))) },
            |connection| read(connection, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_a_content_length_header_is_complete() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                let mut response =
                    boxed_response(ScriptedBody::new([Step::Data("who"), Step::Data("le")]));
                let length = HeaderValue::from_static("5");
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
                Ok(response)
            },
            |connection| read(connection, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_complete() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Data("b"),
                ])))
            },
            |connection| read(connection, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_trailers_is_complete() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                let mut response =
                    boxed_response(ScriptedBody::new([Step::Data("a"), Step::Trailers]));
                let names = HeaderValue::from_static("x-checked");
                response.headers_mut().insert(header::TRAILER, names);
                Ok(response)
            },
            |connection| read(connection, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn an_empty_body_is_complete() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async { Ok(boxed_response(Empty::new())) },
            |connection| read(connection, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_response_to_head_is_complete_without_its_body() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([Step::Data(
                    "dropped unread",
                )])))
            },
            |connection| read(connection, request(Method::HEAD)),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn no_content_and_not_modified_are_complete_without_a_body() {
    for (status, label) in [
        (StatusCode::NO_CONTENT, "204"),
        (StatusCode::NOT_MODIFIED, "304"),
    ] {
        for_each_protocol(|http| {
            exchange(
                http,
                move |_| async move {
                    let mut response =
                        boxed_response(ScriptedBody::new([Step::Data("dropped unread")]));
                    *response.status_mut() = status;
                    Ok(response)
                },
                |connection| read(connection, get()),
                Expected {
                    status: label,
                    code: Some(i64::from(status.as_u16())),
                    ..COMPLETE
                },
            )
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_error_is_an_error_and_a_client_error_is_not() {
    for (status, label, error) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "500", Some("500")),
        (StatusCode::NOT_FOUND, "404", None),
    ] {
        for_each_protocol(|http| {
            exchange(
                http,
                move |_| async move {
                    let mut response = boxed_response(Full::new(Bytes::from_static(b"sorry")));
                    *response.status_mut() = status;
                    Ok(response)
                },
                |connection| read(connection, get()),
                Expected {
                    status: label,
                    code: Some(i64::from(status.as_u16())),
                    error,
                    ..COMPLETE
                },
            )
        })
        .await;
    }
}

#[tokio::test]
async fn a_service_that_fails_is_an_error() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async { Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()) },
            |connection| read(connection, get()),
            Expected {
                status: "error",
                code: None,
                error: Some("timeout"),
                aborted: false,
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_body_that_fails_is_aborted() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Error,
                ])))
            },
            |connection| read(connection, get()),
            Expected {
                error: Some("timeout"),
                aborted: true,
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_before_the_response_is_cancelled() {
    for_each_protocol(|http| async move {
        let started = Arc::new(Notify::new());
        let handler_started = Arc::clone(&started);
        exchange(
            http,
            move |_| {
                handler_started.notify_one();
                pending()
            },
            |mut connection| {
                let started = Arc::clone(&started);
                async move {
                    tokio::select! {
                        _ = connection.send(get()) => panic!("unexpected response"),
                        () = with_timeout("the handler runs", started.notified()) => {}
                    }
                    connection.close();
                }
            },
            Expected {
                status: "cancelled",
                code: None,
                error: Some("cancelled"),
                aborted: false,
            },
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_during_the_body_is_aborted() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Pending,
                ])))
            },
            |mut connection| async move {
                let mut body = connection.send(get()).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                connection.close();
            },
            Expected {
                error: Some("aborted"),
                aborted: true,
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_in_poll_is_recorded_as_panic() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async { panic!("the handler panics") },
            |connection| read(connection, get()),
            Expected {
                status: "panic",
                code: None,
                error: Some("panic"),
                aborted: false,
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_in_call_is_recorded_as_panic() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| -> std::future::Ready<Result<BoxedResponse, BoxError>> {
                panic!("the call panics")
            },
            |connection| read(connection, get()),
            Expected {
                status: "panic",
                code: None,
                error: Some("panic"),
                aborted: false,
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_body_that_panics_is_recorded_as_panic() {
    for_each_protocol(|http| {
        exchange(
            http,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Panic,
                ])))
            },
            |connection| read(connection, get()),
            Expected {
                error: Some("panic"),
                aborted: true,
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_ends_at_its_handshake() {
    exchange(
        Http::One,
        |_| async {
            let mut response = boxed_response(Empty::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
            Ok(response)
        },
        |mut connection| async move {
            let mut request = get();
            let headers = request.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
            let response = connection.send(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        },
        Expected {
            status: "101",
            code: Some(101),
            ..COMPLETE
        },
    )
    .await;
}

/// The exchange is not polled before the drop, so only the drop can set the end time.
#[tokio::test]
async fn a_cancelled_or_aborted_span_ends_when_it_is_dropped() {
    const PAUSE: Duration = Duration::from_millis(30);
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let layer = || backend.layer(telemetry.source(), TraceLayer::server());

        let pending_service =
            service_fn(|_: Request<()>| pending::<Result<BoxedResponse, Infallible>>());
        let mut before_response = pin!(Some(
            layer().layer(pending_service).oneshot(Request::new(()))
        ));
        let cx = &mut Context::from_waker(Waker::noop());
        let polled = before_response.as_mut().as_pin_mut().unwrap().poll(cx);
        assert!(polled.is_pending());
        thread::sleep(PAUSE);
        before_response.set(None);

        let respond =
            |_: Request<()>| ready(Ok::<_, Infallible>(boxed_response(Full::from("whole"))));
        let head = layer().layer(service_fn(respond)).oneshot(Request::new(()));
        let response = head.await.unwrap();
        thread::sleep(PAUSE);
        drop(response);

        let spans = telemetry.spans();
        let errors: Vec<_> = spans.iter().map(|span| text(span, "error.type")).collect();
        assert_eq!(
            errors,
            ["cancelled", "aborted"].map(|error| Some(error.into()))
        );
        for span in spans {
            let duration = span.end_time.duration_since(span.start_time).unwrap();
            assert!(duration >= PAUSE, "{backend:?}: {duration:?}");
        }
    }
}
