//! All ends of a client exchange over sockets. Span, counter, histogram and gauge record each
//! exchange once, with equal values. The servers have no layers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "client_ends/reqwest.rs"]
mod with_reqwest;

use std::{
    future::{Future, pending},
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioIo,
};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::{AnyTraceLayer, Backend},
    net::{
        BoxError, Http, ResettableServer, ScriptedBody, Step, infallible, pooled_client,
        refusing_address, serve,
    },
    telemetry::{
        TestTelemetry, assert_metrics_error_type, attribute, integer, text, with_convention_names,
        with_timeout,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::Observed;
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{Propagate, PropagateLayer};
use tower_otel_trace::TraceLayer;

type BoxedResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;
type PooledClient = Client<HttpConnector, Empty<Bytes>>;
type Layered<S> =
    Observed<Observed<Observed<Propagate<S>, MetricsLayer>, MetricsLayer>, AnyTraceLayer>;

/// The expected telemetry of an exchange.
#[derive(Clone, Copy, Debug)]
struct Expected {
    method: &'static str,
    /// The `status` label of the counter.
    status: &'static str,
    /// The status code of the span.
    code: Option<i64>,
    error: Option<&'static str>,
}

const COMPLETE: Expected = Expected {
    method: "GET",
    status: "200",
    code: Some(200),
    error: None,
};

/// Returns the expected telemetry of an exchange without a response.
const fn without_response(status: &'static str, error: Option<&'static str>) -> Expected {
    Expected {
        status,
        code: None,
        error,
        ..COMPLETE
    }
}

fn layered<S>(backend: Backend, telemetry: &TestTelemetry, client: S) -> Layered<S> {
    ServiceBuilder::new()
        .layer(backend.layer(telemetry.source(), TraceLayer::client()))
        .layer(MetricsLayer::client())
        .layer(with_convention_names(MetricsLayer::client()))
        .layer(PropagateLayer::new())
        .service(client)
}

/// Runs `drive` with an instrumented client and checks the telemetry of its one request to `to`.
async fn observed<S, C>(
    backend: Backend,
    inner: S,
    to: SocketAddr,
    drive: impl FnOnce(Layered<S>, String) -> C,
    expected: Expected,
) -> SpanData
where
    C: Future<Output = ()>,
{
    let telemetry = TestTelemetry::new();
    let url = url(to);
    let client = layered(backend, &telemetry, inner);
    with_timeout("the client finishes", drive(client, url.clone())).await;
    assert_recorded(&telemetry, to, &url, expected).await
}

/// Runs `drive` with hyper-util's pooled client against a server with this handler, and checks the telemetry.
async fn exchange<H, F, C>(
    setup: Setup,
    handle: H,
    drive: impl FnOnce(Layered<PooledClient>, String) -> C,
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
    C: Future<Output = ()>,
{
    let to = serve(service_fn(handle)).await;
    let span = observed(
        setup.backend,
        pooled_client(setup.http),
        to,
        drive,
        expected,
    )
    .await;
    let version = match setup.http {
        Http::One => "1.1",
        Http::Two => "2",
    };
    let has_response = expected.code.is_some();
    assert_eq!(
        text(&span, "network.protocol.version"),
        has_response.then(|| version.to_owned())
    );
    assert_eq!(
        text(&span, "network.peer.address"),
        has_response.then(|| to.ip().to_string())
    );
    assert_eq!(
        integer(&span, "network.peer.port"),
        has_response.then(|| i64::from(to.port()))
    );
}

async fn assert_recorded(
    telemetry: &TestTelemetry,
    to: SocketAddr,
    url: &str,
    expected: Expected,
) -> SpanData {
    telemetry
        .wait_until("the exchange ends", |telemetry| {
            !telemetry.spans().is_empty()
                && telemetry.sum("http_client_requests_total", &[]) > 0.0
                && telemetry.sum("http_client_requests_in_flight", &[]) == 0.0
        })
        .await;
    let spans = telemetry.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.name, expected.method);
    assert_eq!(
        text(span, "http.request.method").as_deref(),
        Some(expected.method)
    );
    assert_eq!(text(span, "url.full").as_deref(), Some(url));
    assert_eq!(text(span, "server.address"), Some(to.ip().to_string()));
    assert_eq!(integer(span, "server.port"), Some(i64::from(to.port())));
    assert_eq!(integer(span, "http.response.status_code"), expected.code);
    assert_eq!(text(span, "error.type").as_deref(), expected.error);
    for server_only in ["http.route", "url.path", "client.address"] {
        assert_eq!(attribute(span, server_only), None, "{server_only}");
    }
    assert_eq!(
        span.status,
        match expected.error {
            Some(_) => Status::error(""),
            None => Status::Unset,
        }
    );
    assert_metrics_error_type(telemetry, "client", expected.error);
    let host = to.to_string();
    let (host, method) = (("host", host.as_str()), ("method", expected.method));
    let metrics = telemetry.metrics();
    for (metric, labels, value) in [
        (
            "http_client_requests_total",
            &[host, method, ("status", expected.status)][..],
            1.0,
        ),
        ("http_client_requests_total", &[], 1.0),
        (
            "http_client_request_duration_seconds_count",
            &[host, method],
            1.0,
        ),
        ("http_client_request_duration_seconds_count", &[], 1.0),
        ("http_client_requests_in_flight", &[], 0.0),
    ] {
        assert_eq!(
            telemetry.sum(metric, labels),
            value,
            "{metric}{labels:?} in\n{metrics}"
        );
    }
    assert!(
        metrics.contains(&format!("http_client_requests_in_flight{{host=\"{to}\"}} ")),
        "{metrics}"
    );
    assert!(!metrics.contains("aborted"), "{metrics}");
    span.clone()
}

fn url(to: SocketAddr) -> String {
    format!("http://{to}/things/7?page=2")
}

fn get(url: &str) -> Request<Empty<Bytes>> {
    request(Method::GET, url)
}

fn request(method: Method, url: &str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::TE, "trailers")
        .body(Empty::new())
        .unwrap()
}

fn boxed_response<B>(body: B) -> BoxedResponse
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

fn status(status: StatusCode) -> BoxedResponse {
    let mut response = boxed_response(Full::new(Bytes::from_static(b"sorry")));
    *response.status_mut() = status;
    response
}

/// Reads a response to its end and returns its text.
async fn read(client: Layered<PooledClient>, url: String) -> String {
    let response = client.oneshot(get(&url)).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The HTTP version of a request and the backend of its span.
#[derive(Clone, Copy, Debug)]
struct Setup {
    http: Http,
    backend: Backend,
}

async fn for_each_setup<T: Future<Output = ()>>(test: impl Fn(Setup) -> T) {
    for http in [Http::One, Http::Two] {
        for backend in Backend::ALL {
            test(Setup { http, backend }).await;
        }
    }
}

#[tokio::test]
async fn a_body_with_a_content_length_is_complete() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async { Ok(boxed_response(Full::new(Bytes::from_static(b"whole")))) },
            |client, url| async { assert_eq!(read(client, url).await, "whole") },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_complete() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Data("b"),
                ])))
            },
            |client, url| async { assert_eq!(read(client, url).await, "ab") },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_trailers_is_complete_and_the_trailers_arrive() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async {
                let mut response =
                    boxed_response(ScriptedBody::new([Step::Data("a"), Step::Trailers]));
                let names = HeaderValue::from_static("x-checked");
                response.headers_mut().insert(header::TRAILER, names);
                Ok(response)
            },
            |client, url| async move {
                let response = client.oneshot(get(&url)).await.unwrap();
                let collected = response.into_body().collect().await.unwrap();
                assert_eq!(collected.trailers().unwrap()["x-checked"], "yes");
            },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn an_empty_body_is_complete_at_the_head() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async { Ok(boxed_response(Empty::new())) },
            |client, url| async move {
                let response = client.oneshot(get(&url)).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
            },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_response_to_head_is_complete_at_the_head() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async { Ok(boxed_response(Full::new(Bytes::from_static(b"never sent")))) },
            |client, url| async move {
                let request = request(Method::HEAD, &url);
                let response = client.oneshot(request).await.unwrap();
                assert_eq!(response.headers()[header::CONTENT_LENGTH], "10");
            },
            Expected {
                method: "HEAD",
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn no_content_and_not_modified_are_complete_at_the_head() {
    for (code, label) in [
        (StatusCode::NO_CONTENT, "204"),
        (StatusCode::NOT_MODIFIED, "304"),
    ] {
        for_each_setup(|setup| {
            exchange(
                setup,
                move |_| async move {
                    let mut response = boxed_response(Empty::new());
                    *response.status_mut() = code;
                    Ok(response)
                },
                |client, url| async { assert_eq!(read(client, url).await, "") },
                Expected {
                    status: label,
                    code: Some(i64::from(code.as_u16())),
                    ..COMPLETE
                },
            )
        })
        .await;
    }
}

#[tokio::test]
async fn client_errors_and_server_errors_are_errors() {
    for (code, label) in [
        (StatusCode::NOT_FOUND, "404"),
        (StatusCode::INTERNAL_SERVER_ERROR, "500"),
    ] {
        for_each_setup(|setup| {
            exchange(
                setup,
                move |_| async move { Ok(status(code)) },
                |client, url| async { assert_eq!(read(client, url).await, "sorry") },
                Expected {
                    status: label,
                    code: Some(i64::from(code.as_u16())),
                    error: Some(label),
                    ..COMPLETE
                },
            )
        })
        .await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    for_each_setup(|setup| async move {
        let (_socket, to) = refusing_address();
        observed(
            setup.backend,
            pooled_client(setup.http),
            to,
            |client, url| async move {
                let error = client.oneshot(get(&url)).await.unwrap_err();
                assert!(error.is_connect());
            },
            without_response("error", Some("connection_refused")),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_reset_before_the_response_is_an_error() {
    for_each_setup(|setup| async move {
        let (started_tx, started) = oneshot::channel();
        let server = ResettableServer::serve(pending_handler(started_tx)).await;
        observed(
            setup.backend,
            pooled_client(setup.http),
            server.address(),
            |client, url| async move {
                let request = tokio::spawn(client.oneshot(get(&url)));
                started.await.unwrap();
                server.reset();
                request.await.unwrap().unwrap_err();
            },
            without_response("error", Some("connection_reset")),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_closed_before_the_response_is_an_error() {
    for_each_setup(|setup| async move {
        let error = match setup.http {
            Http::One => "connection_closed",
            Http::Two => "_OTHER",
        };
        exchange(
            setup,
            |_| async { Err("no answer".into()) },
            |client, url| async move {
                client.oneshot(get(&url)).await.unwrap_err();
            },
            without_response("error", Some(error)),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_reset_during_the_body_is_an_error() {
    for_each_setup(|setup| async move {
        let error = match setup.http {
            Http::One => "connection_reset",
            Http::Two => "body",
        };
        let server = ResettableServer::serve(service_fn(|_: Request<Incoming>| async {
            Ok::<_, BoxError>(boxed_response(ScriptedBody::new([
                Step::Data("a"),
                Step::Pending,
            ])))
        }))
        .await;
        observed(
            setup.backend,
            pooled_client(setup.http),
            server.address(),
            |client, url| async move {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                server.reset();
                body.frame().await.unwrap().unwrap_err();
            },
            Expected {
                error: Some(error),
                ..COMPLETE
            },
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_the_server_fails_to_finish_is_an_error() {
    for_each_setup(|setup| async move {
        let error = match setup.http {
            Http::One => "connection_closed",
            Http::Two => "body",
        };
        let (fail, failure) = oneshot::channel();
        exchange(
            setup,
            failing_body(failure),
            |client, url| async move {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                fail.send(()).unwrap();
                body.frame().await.unwrap().unwrap_err();
            },
            Expected {
                error: Some(error),
                ..COMPLETE
            },
        )
        .await;
    })
    .await;
}

/// Returns a handler that sends a signal when it is called, and never responds.
fn pending_handler(
    started_tx: oneshot::Sender<()>,
) -> impl Service<
    Request<Incoming>,
    Response = BoxedResponse,
    Error = BoxError,
    Future = impl Future<Output = Result<BoxedResponse, BoxError>> + Send,
> + Clone
+ Send
+ 'static {
    let started_tx = send_once(started_tx);
    service_fn(move |_| {
        started_tx();
        pending()
    })
}

/// Returns a handler whose body sends data, waits for a signal and fails.
fn failing_body(
    failure: oneshot::Receiver<()>,
) -> impl FnMut(Request<Incoming>) -> std::future::Ready<Result<BoxedResponse, BoxError>> + Clone + Send
{
    let failure = Arc::new(Mutex::new(Some(failure)));
    move |_| {
        let failure = failure.lock().unwrap().take().unwrap();
        let steps = [Step::Data("a"), Step::WaitFor(failure), Step::Error];
        std::future::ready(Ok(boxed_response(ScriptedBody::new(steps))))
    }
}

#[tokio::test]
async fn a_request_dropped_before_the_response_is_not_an_error() {
    for_each_setup(|setup| async move {
        let (started_tx, started) = oneshot::channel();
        let started_tx = send_once(started_tx);
        exchange(
            setup,
            move |_| {
                started_tx();
                pending()
            },
            |client, url| async move {
                tokio::select! {
                    _ = client.oneshot(get(&url)) => panic!("unexpected response"),
                    result = started => result.unwrap(),
                }
            },
            without_response("cancelled", None),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_not_an_error() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Pending,
                ])))
            },
            |client, url| async move {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
            },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn an_unread_body_is_not_an_error() {
    for_each_setup(|setup| {
        exchange(
            setup,
            |_| async { Ok(boxed_response(Full::new(Bytes::from_static(b"whole")))) },
            |client, url| async move {
                client.oneshot(get(&url)).await.unwrap();
            },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_ends_at_its_handshake_and_the_connection_works() {
    for backend in Backend::ALL {
        let http = Http::One;
        exchange(
            Setup { http, backend },
            |mut request| async move {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                    TokioIo::new(upgraded).write_all(b"hello").await.unwrap();
                });
                let mut response = boxed_response(Empty::new());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                upgrade(response.headers_mut());
                Ok(response)
            },
            |client, url| async move {
                let mut request = get(&url);
                upgrade(request.headers_mut());
                let response = client.oneshot(request).await.unwrap();
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                let mut received = String::new();
                let mut upgraded = TokioIo::new(upgraded);
                upgraded.read_to_string(&mut received).await.unwrap();
                assert_eq!(received, "hello");
            },
            Expected {
                status: "101",
                code: Some(101),
                ..COMPLETE
            },
        )
        .await;
    }
}

fn upgrade(headers: &mut http::HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("hello"));
}

/// An address for services that do not connect.
const UNREACHABLE: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    8080,
);

/// Sends a request to a service that panics, and checks that the panic continues.
async fn panics<S>(client: Layered<S>, url: String)
where
    S: Service<Request<Empty<Bytes>>, Response = BoxedResponse, Error = BoxError> + Send + 'static,
    S::Future: Send,
{
    let sent = tokio::spawn(async move { client.oneshot(get(&url)).await.map(drop) });
    assert!(sent.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_client_that_panics_in_call_is_recorded_as_panic() {
    let inner = service_fn(|_| -> std::future::Ready<Result<BoxedResponse, BoxError>> {
        panic!("the call panics")
    });
    let expected = without_response("panic", Some("panic"));
    for backend in Backend::ALL {
        observed(backend, inner, UNREACHABLE, panics, expected).await;
    }
}

#[tokio::test]
async fn a_client_that_panics_in_poll_is_recorded_as_panic() {
    let inner = service_fn(|_| async { panic!("the poll panics") });
    let expected = without_response("panic", Some("panic"));
    for backend in Backend::ALL {
        observed(backend, inner, UNREACHABLE, panics, expected).await;
    }
}

#[tokio::test]
async fn a_future_that_is_never_polled_is_cancelled() {
    let inner = service_fn(|_| async { Ok::<_, BoxError>(boxed_response(Empty::new())) });
    for backend in Backend::ALL {
        observed(
            backend,
            inner,
            UNREACHABLE,
            |mut client, url| async move { drop(client.call(get(&url))) },
            without_response("cancelled", None),
        )
        .await;
    }
}

#[tokio::test]
async fn the_server_receives_the_id_of_the_exported_span() {
    for_each_setup(|setup| async move {
        let received_parents = Arc::new(Mutex::new(Vec::new()));
        let to = traceparent_server(received_parents.clone()).await;
        let span = observed(
            setup.backend,
            pooled_client(setup.http),
            to,
            |client, url| async { assert_eq!(read(client, url).await, "") },
            COMPLETE,
        )
        .await;
        assert_eq!(*received_parents.lock().unwrap(), [traceparent(&span)]);
    })
    .await;
}

/// Starts a server that stores the `traceparent` of every request.
async fn traceparent_server(received_parents: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    serve(service_fn(move |request: Request<Incoming>| {
        let lines = request.headers().get_all("traceparent").iter();
        let lines = lines.map(|line| line.to_str().unwrap().to_owned());
        received_parents.lock().unwrap().extend(lines);
        std::future::ready(Ok::<_, BoxError>(boxed_response(Empty::new())))
    }))
    .await
}

fn traceparent(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

/// Returns a function that sends the signal on its first call.
fn send_once(signal: oneshot::Sender<()>) -> impl Fn() + Clone + Send + 'static {
    let signal = Arc::new(Mutex::new(Some(signal)));
    move || {
        if let Some(signal) = signal.lock().unwrap().take() {
            let _ = signal.send(());
        }
    }
}

#[tokio::test]
async fn a_client_error_keeps_its_type_and_its_sources() {
    let telemetry = TestTelemetry::new();
    let (_socket, to) = refusing_address();
    let bare = pooled_client(Http::One)
        .oneshot(get(&url(to)))
        .await
        .unwrap_err();
    for backend in Backend::ALL {
        let client = layered(backend, &telemetry, pooled_client(Http::One));
        let response: Result<_, hyper_util::client::legacy::Error> =
            client.oneshot(get(&url(to))).await;
        assert_eq!(format!("{:?}", response.unwrap_err()), format!("{bare:?}"));
    }
}

#[tokio::test]
async fn a_client_is_ready_when_the_inner_client_is_ready() {
    let telemetry = TestTelemetry::new();
    for backend in Backend::ALL {
        let mut polls = 0;
        let inner = tower::util::BoxService::new(ReadyOnSecondPoll(false));
        let mut client = layered(backend, &telemetry, inner);
        std::future::poll_fn(|cx| {
            polls += 1;
            match client.poll_ready(cx) {
                Poll::Pending => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                ready => ready,
            }
        })
        .await
        .map_err(infallible)
        .unwrap();
        assert_eq!(polls, 2);
    }
}

/// A service that is ready on the second poll.
struct ReadyOnSecondPoll(bool);

impl Service<Request<Empty<Bytes>>> for ReadyOnSecondPoll {
    type Response = BoxedResponse;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<BoxedResponse, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        std::future::ready(Ok(boxed_response(Empty::new())))
    }
}
