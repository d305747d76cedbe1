//! Every end of a client's exchange, over real sockets: told once by the span, the counter, the
//! histogram and the gauge alike. The servers know nothing of the layers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "client_ends/reqwest.rs"]
mod through_reqwest;

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
    net::{BoxError, Http, Mortal, Script, Step, never, pooled, serve, silent},
    scene::{Scene, attribute, by_the_conventions, counted_as, integer, text, within},
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

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
type Pooled = Client<HttpConnector, Empty<Bytes>>;
type Layered<S> =
    Observed<Observed<Observed<Propagate<S>, MetricsLayer>, MetricsLayer>, AnyTraceLayer>;

/// What has to be told about an exchange, once.
#[derive(Clone, Copy, Debug)]
struct Told {
    method: &'static str,
    /// The label of the counter.
    status: &'static str,
    /// The status code of the span.
    code: Option<i64>,
    error: Option<&'static str>,
}

const COMPLETE: Told = Told {
    method: "GET",
    status: "200",
    code: Some(200),
    error: None,
};

/// No response, and a reason.
const fn unanswered(status: &'static str, error: Option<&'static str>) -> Told {
    Told {
        status,
        code: None,
        error,
        ..COMPLETE
    }
}

fn layered<S>(backend: Backend, scene: &Scene, client: S) -> Layered<S> {
    ServiceBuilder::new()
        .layer(backend.layer(scene.source(), TraceLayer::client()))
        .layer(MetricsLayer::client())
        .layer(by_the_conventions(MetricsLayer::client()))
        .layer(PropagateLayer::new())
        .service(client)
}

/// Lets `drive` use an instrumented client, and checks what was told of its one request to `to`.
async fn observed<S, C>(
    backend: Backend,
    inner: S,
    to: SocketAddr,
    drive: impl FnOnce(Layered<S>, String) -> C,
    told: Told,
) -> SpanData
where
    C: Future<Output = ()>,
{
    let scene = Scene::new();
    let url = url(to);
    let client = layered(backend, &scene, inner);
    within("the client is done", drive(client, url.clone())).await;
    settled(&scene, to, &url, told).await
}

/// The same for hyper-util's pooled client and a server that does what it is told.
async fn exchange<H, F, C>(
    with: With,
    handle: H,
    drive: impl FnOnce(Layered<Pooled>, String) -> C,
    told: Told,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Answer, BoxError>> + Send + 'static,
    C: Future<Output = ()>,
{
    let to = serve(service_fn(handle)).await;
    let span = observed(with.backend, pooled(with.http), to, drive, told).await;
    let version = match with.http {
        Http::One => "1.1",
        Http::Two => "2",
    };
    let answered = told.code.is_some();
    assert_eq!(
        text(&span, "network.protocol.version"),
        answered.then(|| version.to_owned())
    );
    assert_eq!(
        text(&span, "network.peer.address"),
        answered.then(|| to.ip().to_string())
    );
    assert_eq!(
        integer(&span, "network.peer.port"),
        answered.then(|| i64::from(to.port()))
    );
}

async fn settled(scene: &Scene, to: SocketAddr, url: &str, told: Told) -> SpanData {
    scene
        .until("the exchange ends", |scene| {
            !scene.spans().is_empty()
                && scene.sum("http_client_requests_total", &[]) > 0.0
                && scene.sum("http_client_requests_in_flight", &[]) == 0.0
        })
        .await;
    let spans = scene.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.name, told.method);
    assert_eq!(
        text(span, "http.request.method").as_deref(),
        Some(told.method)
    );
    assert_eq!(text(span, "url.full").as_deref(), Some(url));
    assert_eq!(text(span, "server.address"), Some(to.ip().to_string()));
    assert_eq!(integer(span, "server.port"), Some(i64::from(to.port())));
    assert_eq!(integer(span, "http.response.status_code"), told.code);
    assert_eq!(text(span, "error.type").as_deref(), told.error);
    for server_only in ["http.route", "url.path", "client.address"] {
        assert_eq!(attribute(span, server_only), None, "{server_only}");
    }
    assert_eq!(
        span.status,
        match told.error {
            Some(_) => Status::error(""),
            None => Status::Unset,
        }
    );
    counted_as(scene, "client", told.error);
    let host = to.to_string();
    let (host, method) = (("host", host.as_str()), ("method", told.method));
    let metrics = scene.metrics();
    for (metric, labels, value) in [
        (
            "http_client_requests_total",
            &[host, method, ("status", told.status)][..],
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
            scene.sum(metric, labels),
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

fn answer<B>(body: B) -> Answer
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

fn status(status: StatusCode) -> Answer {
    let mut response = answer(Full::new(Bytes::from_static(b"sorry")));
    *response.status_mut() = status;
    response
}

/// Reads a response to its end, and returns the text.
async fn read(client: Layered<Pooled>, url: String) -> String {
    let response = client.oneshot(get(&url)).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Over which protocol a request is sent, and through whom its span is told.
#[derive(Clone, Copy, Debug)]
struct With {
    http: Http,
    backend: Backend,
}

async fn each<T: Future<Output = ()>>(test: impl Fn(With) -> T) {
    for http in [Http::One, Http::Two] {
        for backend in Backend::ALL {
            test(With { http, backend }).await;
        }
    }
}

#[tokio::test]
async fn a_body_with_a_content_length() {
    each(|with| {
        exchange(
            with,
            |_| async { Ok(answer(Full::new(Bytes::from_static(b"whole")))) },
            |client, url| async { assert_eq!(read(client, url).await, "whole") },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length() {
    each(|with| {
        exchange(
            with,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Data("b")]))) },
            |client, url| async { assert_eq!(read(client, url).await, "ab") },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_trailers_that_arrive() {
    each(|with| {
        exchange(
            with,
            |_| async {
                let mut response = answer(Script::of([Step::Data("a"), Step::Trailers]));
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
async fn an_empty_body_ends_with_its_head() {
    each(|with| {
        exchange(
            with,
            |_| async { Ok(answer(Empty::new())) },
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
async fn head_ends_with_its_head() {
    each(|with| {
        exchange(
            with,
            |_| async { Ok(answer(Full::new(Bytes::from_static(b"never sent")))) },
            |client, url| async move {
                let request = request(Method::HEAD, &url);
                let response = client.oneshot(request).await.unwrap();
                assert_eq!(response.headers()[header::CONTENT_LENGTH], "10");
            },
            Told {
                method: "HEAD",
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn no_content_and_not_modified_end_with_their_heads() {
    for (code, label) in [
        (StatusCode::NO_CONTENT, "204"),
        (StatusCode::NOT_MODIFIED, "304"),
    ] {
        each(|with| {
            exchange(
                with,
                move |_| async move {
                    let mut response = answer(Empty::new());
                    *response.status_mut() = code;
                    Ok(response)
                },
                |client, url| async { assert_eq!(read(client, url).await, "") },
                Told {
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
async fn both_a_client_error_and_a_server_error_are_errors() {
    for (code, label) in [
        (StatusCode::NOT_FOUND, "404"),
        (StatusCode::INTERNAL_SERVER_ERROR, "500"),
    ] {
        each(|with| {
            exchange(
                with,
                move |_| async move { Ok(status(code)) },
                |client, url| async { assert_eq!(read(client, url).await, "sorry") },
                Told {
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
async fn a_connection_that_is_refused() {
    each(|with| async move {
        let (_held, to) = silent();
        observed(
            with.backend,
            pooled(with.http),
            to,
            |client, url| async move {
                let error = client.oneshot(get(&url)).await.unwrap_err();
                assert!(error.is_connect());
            },
            unanswered("error", Some("connection_refused")),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_dies_before_the_head() {
    each(|with| async move {
        let (began, has_begun) = oneshot::channel();
        let server = Mortal::serve(stuck(began)).await;
        observed(
            with.backend,
            pooled(with.http),
            server.address(),
            |client, url| async move {
                let request = tokio::spawn(client.oneshot(get(&url)));
                has_begun.await.unwrap();
                server.die();
                request.await.unwrap().unwrap_err();
            },
            unanswered("error", Some("connection_reset")),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_up_before_the_head() {
    each(|with| async move {
        let error = match with.http {
            Http::One => "connection_closed",
            Http::Two => "_OTHER",
        };
        exchange(
            with,
            |_| async { Err("no answer".into()) },
            |client, url| async move {
                client.oneshot(get(&url)).await.unwrap_err();
            },
            unanswered("error", Some(error)),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_of_a_body() {
    each(|with| async move {
        let error = match with.http {
            Http::One => "connection_reset",
            Http::Two => "body",
        };
        let server = Mortal::serve(service_fn(|_: Request<Incoming>| async {
            Ok::<_, BoxError>(answer(Script::of([Step::Data("a"), Step::Stall])))
        }))
        .await;
        observed(
            with.backend,
            pooled(with.http),
            server.address(),
            |client, url| async move {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                server.die();
                body.frame().await.unwrap().unwrap_err();
            },
            Told {
                error: Some(error),
                ..COMPLETE
            },
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_the_server_breaks_off() {
    each(|with| async move {
        let error = match with.http {
            Http::One => "connection_closed",
            Http::Two => "body",
        };
        let (go_on, told) = oneshot::channel();
        exchange(
            with,
            breaking_off(told),
            |client, url| async move {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                go_on.send(()).unwrap();
                body.frame().await.unwrap().unwrap_err();
            },
            Told {
                error: Some(error),
                ..COMPLETE
            },
        )
        .await;
    })
    .await;
}

/// A handler that says when it has been called, and never answers.
fn stuck(
    began: oneshot::Sender<()>,
) -> impl Service<
    Request<Incoming>,
    Response = Answer,
    Error = BoxError,
    Future = impl Future<Output = Result<Answer, BoxError>> + Send,
> + Clone
+ Send
+ 'static {
    let began = once(began);
    service_fn(move |_| {
        began();
        pending()
    })
}

/// A handler whose body begins, and fails when it is told to.
fn breaking_off(
    told: oneshot::Receiver<()>,
) -> impl FnMut(Request<Incoming>) -> std::future::Ready<Result<Answer, BoxError>> + Clone + Send {
    let told = Arc::new(Mutex::new(Some(told)));
    move |_| {
        let told = told.lock().unwrap().take().unwrap();
        let steps = [Step::Data("a"), Step::Until(told), Step::Error];
        std::future::ready(Ok(answer(Script::of(steps))))
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_before_the_head_is_no_error() {
    each(|with| async move {
        let (began, has_begun) = oneshot::channel();
        let began = once(began);
        exchange(
            with,
            move |_| {
                began();
                pending()
            },
            |client, url| async move {
                tokio::select! {
                    _ = client.oneshot(get(&url)) => panic!("nobody answers"),
                    begun = has_begun => begun.unwrap(),
                }
            },
            unanswered("cancelled", None),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_given_up_is_no_error() {
    each(|with| {
        exchange(
            with,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Stall]))) },
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
async fn a_body_that_is_never_looked_at_is_no_error() {
    each(|with| {
        exchange(
            with,
            |_| async { Ok(answer(Full::new(Bytes::from_static(b"whole")))) },
            |client, url| async move {
                client.oneshot(get(&url)).await.unwrap();
            },
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_ends_with_its_handshake_and_works() {
    for backend in Backend::ALL {
        let http = Http::One;
        exchange(
            With { http, backend },
            |mut request| async move {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                    TokioIo::new(upgraded).write_all(b"hello").await.unwrap();
                });
                let mut response = answer(Empty::new());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                upgrade(response.headers_mut());
                Ok(response)
            },
            |client, url| async move {
                let mut request = get(&url);
                upgrade(request.headers_mut());
                let response = client.oneshot(request).await.unwrap();
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                let mut said = String::new();
                let mut upgraded = TokioIo::new(upgraded);
                upgraded.read_to_string(&mut said).await.unwrap();
                assert_eq!(said, "hello");
            },
            Told {
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

/// Where nobody is, for services that never send anything.
const NOWHERE: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    8080,
);

/// Sends a request to a service that panics, and sees the panic come through.
async fn panics<S>(client: Layered<S>, url: String)
where
    S: Service<Request<Empty<Bytes>>, Response = Answer, Error = BoxError> + Send + 'static,
    S::Future: Send,
{
    let sent = tokio::spawn(async move { client.oneshot(get(&url)).await.map(drop) });
    assert!(sent.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_client_that_panics_when_it_is_called() {
    let inner = service_fn(|_| -> std::future::Ready<Result<Answer, BoxError>> {
        panic!("the call panics")
    });
    let told = unanswered("panic", Some("panic"));
    for backend in Backend::ALL {
        observed(backend, inner, NOWHERE, panics, told).await;
    }
}

#[tokio::test]
async fn a_client_that_panics_while_it_is_polled() {
    let inner = service_fn(|_| async { panic!("the poll panics") });
    let told = unanswered("panic", Some("panic"));
    for backend in Backend::ALL {
        observed(backend, inner, NOWHERE, panics, told).await;
    }
}

#[tokio::test]
async fn a_client_that_is_never_polled_is_given_up() {
    let inner = service_fn(|_| async { Ok::<_, BoxError>(answer(Empty::new())) });
    for backend in Backend::ALL {
        observed(
            backend,
            inner,
            NOWHERE,
            |mut client, url| async move { drop(client.call(get(&url))) },
            unanswered("cancelled", None),
        )
        .await;
    }
}

#[tokio::test]
async fn the_server_is_told_the_span_that_is_exported() {
    each(|with| async move {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = listener(seen.clone()).await;
        let span = observed(
            with.backend,
            pooled(with.http),
            to,
            |client, url| async { assert_eq!(read(client, url).await, "") },
            COMPLETE,
        )
        .await;
        assert_eq!(*seen.lock().unwrap(), [traceparent(&span)]);
    })
    .await;
}

/// A server that notes the `traceparent` of every request.
async fn listener(seen: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    serve(service_fn(move |request: Request<Incoming>| {
        let lines = request.headers().get_all("traceparent").iter();
        let lines = lines.map(|line| line.to_str().unwrap().to_owned());
        seen.lock().unwrap().extend(lines);
        std::future::ready(Ok::<_, BoxError>(answer(Empty::new())))
    }))
    .await
}

fn traceparent(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

/// Tells once, however often it is asked to.
fn once(tell: oneshot::Sender<()>) -> impl Fn() + Clone + Send + 'static {
    let tell = Arc::new(Mutex::new(Some(tell)));
    move || {
        if let Some(tell) = tell.lock().unwrap().take() {
            let _ = tell.send(());
        }
    }
}

#[tokio::test]
async fn an_error_of_the_client_keeps_its_type_and_its_causes() {
    let scene = Scene::new();
    let (_held, to) = silent();
    let bare = pooled(Http::One).oneshot(get(&url(to))).await.unwrap_err();
    for backend in Backend::ALL {
        let client = layered(backend, &scene, pooled(Http::One));
        let answer: Result<_, hyper_util::client::legacy::Error> =
            client.oneshot(get(&url(to))).await;
        assert_eq!(format!("{:?}", answer.unwrap_err()), format!("{bare:?}"));
    }
}

#[tokio::test]
async fn a_client_is_ready_when_the_one_inside_is() {
    let scene = Scene::new();
    for backend in Backend::ALL {
        let mut asked = 0;
        let inner = tower::util::BoxService::new(NotYet(false));
        let mut client = layered(backend, &scene, inner);
        std::future::poll_fn(|cx| {
            asked += 1;
            match client.poll_ready(cx) {
                Poll::Pending => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                ready => ready,
            }
        })
        .await
        .map_err(never)
        .unwrap();
        assert_eq!(asked, 2);
    }
}

/// Ready when it is asked a second time.
struct NotYet(bool);

impl Service<Request<Empty<Bytes>>> for NotYet {
    type Response = Answer;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Answer, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        std::future::ready(Ok(answer(Empty::new())))
    }
}
