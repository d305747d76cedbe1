//! Runs one exchange of a client against a server without layers.

use std::{
    future::{Future, Pending, pending},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::{AnyTraceLayer, Backend},
    net::{BoxError, Http, Step, pooled_client, serve},
    response::{BoxedResponse, boxed_response, scripted},
    telemetry::{TestTelemetry, integer, text, with_convention_names, with_timeout},
};
use tokio::sync::oneshot;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::Observed;
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{Propagate, PropagateLayer};
use tower_otel_trace::TraceLayer;

use crate::expected::{Expected, assert_recorded};

type PooledClient = Client<HttpConnector, Empty<Bytes>>;
pub(crate) type Layered<S> =
    Observed<Observed<Observed<Propagate<S>, MetricsLayer>, MetricsLayer>, AnyTraceLayer>;

pub(crate) fn layered<S>(backend: Backend, telemetry: &TestTelemetry, client: S) -> Layered<S> {
    ServiceBuilder::new()
        .layer(backend.layer(telemetry.source(), TraceLayer::client()))
        .layer(MetricsLayer::client())
        .layer(with_convention_names(MetricsLayer::client()))
        .layer(PropagateLayer::new())
        .service(client)
}

/// Runs `drive` with an instrumented client and checks the telemetry of its one request to `to`.
pub(crate) async fn observed<S>(
    backend: Backend,
    inner: S,
    to: SocketAddr,
    drive: impl AsyncFnOnce(Layered<S>, String),
    expected: Expected,
) -> SpanData {
    let telemetry = TestTelemetry::new();
    let url = url(to);
    let client = layered(backend, &telemetry, inner);
    with_timeout("the client finishes", drive(client, url.clone())).await;
    assert_recorded(&telemetry, to, &url, expected).await
}

/// Runs `drive` with hyper-util's pooled client against a server with this handler, and checks the telemetry.
pub(crate) async fn exchange<H, F>(
    setup: Setup,
    handle: H,
    drive: impl AsyncFnOnce(Layered<PooledClient>, String),
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
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

pub(crate) fn url(to: SocketAddr) -> String {
    format!("http://{to}/things/7?page=2")
}

pub(crate) fn get(url: &str) -> Request<Empty<Bytes>> {
    request(Method::GET, url)
}

pub(crate) fn request(method: Method, url: &str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::TE, "trailers")
        .body(Empty::new())
        .unwrap()
}

/// Reads a response to its end and returns its text.
pub(crate) async fn read(client: Layered<PooledClient>, url: String) -> String {
    let response = client.oneshot(get(&url)).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The HTTP version of a request and the backend of its span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) http: Http,
    pub(crate) backend: Backend,
}

pub(crate) async fn for_each_setup<T: Future<Output = ()>>(test: impl Fn(Setup) -> T) {
    for http in [Http::One, Http::Two] {
        for backend in Backend::ALL {
            test(Setup { http, backend }).await;
        }
    }
}

/// Runs the exchange over both protocols with every span backend.
pub(crate) async fn exchanges<H, F>(
    handle: H,
    drive: impl AsyncFn(Layered<PooledClient>, String),
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
{
    for_each_setup(|setup| exchange(setup, handle.clone(), &drive, expected)).await;
}

/// Returns a handler that sends a signal when it is called, and never responds.
pub(crate) fn never_responds(
    started_tx: oneshot::Sender<()>,
) -> impl FnMut(Request<Incoming>) -> Pending<Result<BoxedResponse, BoxError>> + Clone + Send + 'static
{
    let started_tx = send_once(started_tx);
    move |_| {
        started_tx();
        pending()
    }
}

/// Returns a handler whose body sends data, waits for a signal and fails.
pub(crate) fn failing_body(
    failure: oneshot::Receiver<()>,
) -> impl FnMut(Request<Incoming>) -> std::future::Ready<Result<BoxedResponse, BoxError>> + Clone + Send
{
    let failure = Arc::new(Mutex::new(Some(failure)));
    move |_| {
        let failure = failure.lock().unwrap().take().unwrap();
        let steps = [Step::Data("a"), Step::WaitFor(failure), Step::Error];
        std::future::ready(Ok(scripted(steps)))
    }
}

/// An address for services that do not connect.
pub(crate) const UNREACHABLE: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    8080,
);

/// Starts a server that stores the `traceparent` of every request.
pub(crate) async fn traceparent_server(received_parents: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    serve(service_fn(move |request: Request<Incoming>| {
        let lines = request.headers().get_all("traceparent").iter();
        let lines = lines.map(|line| line.to_str().unwrap().to_owned());
        received_parents.lock().unwrap().extend(lines);
        std::future::ready(Ok::<_, BoxError>(boxed_response(Empty::new())))
    }))
    .await
}

pub(crate) fn traceparent(span: &SpanData) -> String {
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
