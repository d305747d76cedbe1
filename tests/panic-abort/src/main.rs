//! Exchanges in a program that is built with `panic = "abort"`: each exchange ends once without unwinding. A panic
//! in code of the application ends the process.
//!
//! ```console
//! CARGO_PROFILE_DEV_PANIC=abort cargo run -p panic-abort --target-dir target/panic-abort
//! ```
//!
//! It is a program because cargo builds tests with unwinding.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    cell::RefCell,
    env,
    fmt::{self, Display},
    future::pending,
    pin::Pin,
    process::Command,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SpanData, SpanExporter},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_propagate::PropagateLayer;
use tower_otel_recorder::Recorder;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

const TIMEOUT: Duration = Duration::from_secs(60);

type BoxBody = UnsyncBoxBody<Bytes, Failure>;
type Exchange = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, Failure>>>>;

thread_local! {
    static HELD: RefCell<Option<Exchange>> = const { RefCell::new(None) };
}

/// The error of a service.
#[derive(Debug)]
struct Failure {
    panics: bool,
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.panics, "part of the test: Display");
        f.write_str("failed")
    }
}

impl std::error::Error for Failure {}

#[derive(Debug)]
struct Exporter {
    panics: bool,
}

impl SpanExporter for Exporter {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        assert!(!self.panics, "part of the test: exporter");
        Ok(())
    }
}

/// Serves a request by its path, and calls another service, in a separate span.
#[tracing::instrument(skip_all)]
async fn handle(request: Request<()>) -> Result<Response<BoxBody>, Failure> {
    let client = observe((
        TraceLayer::client(),
        MetricsLayer::client(),
        PropagateLayer::new(),
    ));
    let other = client.layer(service_fn(async |request: Request<()>| {
        assert!(request.headers().contains_key("traceparent"));
        Ok::<_, Failure>(Response::new(Full::from("other")))
    }));
    let called = Request::get("http://other.example/").body(()).unwrap();
    let response = other.oneshot(called).await?;
    let body = response.into_body();
    match request.uri().path() {
        "/fail" => Err(Failure { panics: false }),
        "/panicking-display" => Err(Failure { panics: true }),
        "/never" => pending().await,
        _ => Ok(Response::new(
            body.map_err(|never| match never {}).boxed_unsync(),
        )),
    }
}

/// Starts a request on a server whose layers have callbacks.
fn call<F>(recorder: Option<&Recorder>, path: &str, handler: fn(Request<()>) -> F) -> Exchange
where
    F: Future<Output = Result<Response<BoxBody>, Failure>> + 'static,
{
    let trace = TraceLayer::server()
        .route(|request| match request.target().path {
            "/panicking-route" => panic!("part of the test: route"),
            _ => Some("/{any}".into()),
        })
        .exceptions()
        .expose_span();
    let trace = match recorder {
        Some(recorder) => trace.recorder(recorder).any_backend(),
        None => trace.any_backend(),
    };
    let metrics = MetricsLayer::server()
        .route(|_| Some("/{any}".into()))
        .response_label("note", |_| Some("a".into()));
    let service = observe((trace, metrics)).layer(service_fn(handler));
    let mut service = service.map_response(|response| response.map(BodyExt::boxed_unsync));
    Box::pin(service.call(Request::get(path).body(()).unwrap()))
}

fn poll(exchange: &mut Exchange) -> Poll<Result<Response<BoxBody>, Failure>> {
    let cx = &mut Context::from_waker(Waker::noop());
    exchange.as_mut().poll(cx)
}

fn response(recorder: Option<&Recorder>, path: &str) -> Result<Response<BoxBody>, Failure> {
    match poll(&mut call(recorder, path, handle)) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("{path} is pending"),
    }
}

/// Every end without a panic, and an exchange that ends when its thread exits.
fn exchanges(recorder: Option<&Recorder>) {
    let mut body = response(recorder, "/complete").unwrap().into_body();
    let cx = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(cx) {
        frame.unwrap();
    }
    drop(response(recorder, "/aborted").unwrap());
    response(recorder, "/fail").unwrap_err();
    let mut cancelled = call(recorder, "/never", handle);
    assert!(poll(&mut cancelled).is_pending());
    drop(cancelled);
    thread::scope(|scope| {
        scope.spawn(|| hold_until_exit(recorder)).join().unwrap();
    });
}

/// Starts an exchange that is cancelled when its thread exits. Its service has no span, because `tracing` would enter the span
/// after thread-local variables are destroyed.
fn hold_until_exit(recorder: Option<&Recorder>) {
    HELD.with(|held| {
        let mut held = held.borrow_mut();
        let exchange = held.insert(call(recorder, "/never", |_| pending()));
        assert!(poll(exchange).is_pending());
    });
}

/// The number of requests in [`exchanges`]. All but the last one have three spans: of the server, the function and the client.
const REQUESTS: u64 = 5;
const SPANS: u64 = 3 * (REQUESTS - 1) + 1;

fn serves() {
    let (metrics, prometheus) = Prometheus::builder().build().unwrap();
    metrics::set_global_recorder(metrics).unwrap();
    let recorder = recorder(false);
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for backend in [None, Some(&recorder)] {
        exchanges(backend);
    }
    recorder.shutdown(TIMEOUT).unwrap();
    let counts = recorder.counts();
    assert_eq!(counts.exported, 2 * SPANS, "{counts:?}");
    let text = prometheus.render();
    for (series, value) in [
        (
            r#"requests_total{method="GET",note="a",path="/{any}",status="200"}"#,
            4,
        ),
        (
            r#"requests_total{method="GET",path="/{any}",status="error"}"#,
            2,
        ),
        (
            r#"requests_total{method="GET",path="/{any}",status="cancelled"}"#,
            4,
        ),
        (r#"requests_in_flight{method="GET"}"#, 0),
    ] {
        let line = format!("http_{series} {value}");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    println!("{} exchanges ended; {counts:?}", 2 * REQUESTS);
}

fn recorder(exporter_panics: bool) -> Recorder {
    Recorder::builder(Exporter {
        panics: exporter_panics,
    })
    .sampler_without_attributes(Sampler::AlwaysOn)
    .build()
    .unwrap()
}

/// Panics in code of the application.
const PANICS: [&str; 3] = ["route", "Display", "exporter"];

fn panics(place: &str) {
    let recorder = recorder(place == "exporter");
    // `.exceptions()` logs errors.
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    match place {
        "route" => drop(response(Some(&recorder), "/panicking-route")),
        "Display" => drop(response(Some(&recorder), "/panicking-display")),
        _ => drop(response(Some(&recorder), "/complete")),
    }
    let _ = recorder.shutdown(TIMEOUT);
}

fn main() {
    if let Some(place) = env::args().nth(1) {
        return panics(&place);
    }
    if cfg!(panic = "unwind") {
        panic!("built with unwinding");
    }
    serves();
    for place in PANICS {
        let child = Command::new(env::current_exe().unwrap())
            .arg(place)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&child.stderr);
        let message = format!("part of the test: {place}");
        assert!(stderr.contains(&message), "{place}: {stderr}");
        // A signal ends the process, so it has no exit code.
        assert_eq!(child.status.code(), None, "{place}: {stderr}");
        println!("a panic of {place} ended the process: {}", child.status);
    }
}
