//! A subscriber panics when the error of an exchange is logged: the exchange ends, and the caller receives the error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll, Waker},
    thread,
};

use http::{Request, Response};
use http_body_util::Empty;
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::Sampler;
use suite_tests::{
    backend::{Backend, Source},
    telemetry::{Metrics, TestTelemetry, text},
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;
use tracing::Metadata;
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    layer::{Context, Filter},
};

type Body = Empty<bytes::Bytes>;

/// Calls a function for each event.
struct OnEvent<F>(F);

impl<F: Fn()> Filter<Registry> for OnEvent<F> {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, Registry>) -> bool {
        if metadata.is_event() && metadata.target() == "tower_otel_trace" {
            (self.0)();
        }
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

fn telemetry(on_event: impl Fn() + Send + Sync + 'static) -> TestTelemetry {
    TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, OnEvent(on_event))
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()))
}

/// Calls a service through both layers. The trace layer is the inner one.
fn exchange<F, E>(telemetry: &TestTelemetry, backend: Backend, inner: F) -> Poll<Result<(), E>>
where
    F: Fn() -> Result<Response<Body>, E>,
    E: std::fmt::Display + 'static,
{
    let trace = backend.layer(telemetry.source(), TraceLayer::server().exceptions());
    let layer = observe((MetricsLayer::server(), trace));
    let mut service = layer.layer(service_fn(|_: Request<()>| ready(inner())));
    poll(service.call(Request::new(()))).map(|result| result.map(|_| ()))
}

/// Runs each case on a separate thread, because a panic leaves the state of a subscriber's filters undefined.
fn for_each_backend(run: impl Fn(Backend) + Sync) {
    for backend in Backend::ALL {
        thread::scope(|scope| {
            let case = scope.spawn(|| run(backend));
            assert!(case.join().is_ok(), "{backend:?}");
        });
    }
}

fn assert_ended(telemetry: &TestTelemetry, error: &str, status: &str) {
    let spans = telemetry.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some(error));
    assert!(matches!(spans[0].status, Status::Error { .. }));
    let sum = |metric, labels: &[_]| telemetry.sum(metric, labels);
    assert_eq!(sum("http_requests_total", &[("status", status)]), 1.0);
    assert_eq!(sum("http_requests_in_flight", &[]), 0.0);
}

#[test]
fn the_request_fails_with_its_own_error_if_logging_it_panics() {
    for_each_backend(|backend| {
        let telemetry = telemetry(|| panic!("no disk"));
        let error = || Err(io::Error::from(io::ErrorKind::TimedOut));
        let Poll::Ready(Err(error)) = exchange(&telemetry, backend, error) else {
            panic!("{backend:?}: the exchange fails");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_ended(&telemetry, "timeout", "error");
    });
}

#[test]
fn a_panic_reaches_the_caller_if_logging_it_panics() {
    for_each_backend(|backend| {
        let telemetry = telemetry(|| panic!("no disk"));
        let handler = || -> Result<Response<Body>, Infallible> { panic!("the handler") };
        let trace = backend.layer(telemetry.source(), TraceLayer::server().exceptions());
        let layer = observe((MetricsLayer::server(), trace));
        let mut service = layer.layer(service_fn(|_: Request<()>| async { handler() }));
        let future = service.call(Request::new(()));
        let panic = catch_unwind(AssertUnwindSafe(|| poll(future).map(|_| ())));
        let payload = panic.expect_err("a panic").downcast_ref().copied();
        assert_eq!(payload, Some("the handler"));
        assert_ended(&telemetry, "panic", "panic");
    });
}

/// The state when the error is logged: the number of ended spans of this backend, and of exchanges in flight in the metrics.
#[derive(Debug, PartialEq)]
struct AtTheEvent {
    spans: u64,
    in_flight: f64,
}

/// Returns the state when the error of an exchange is logged.
fn at_the_event(backend: Backend, metrics_outside: bool) -> AtTheEvent {
    let read = Arc::new(Mutex::new(None::<(Source, Metrics)>));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let telemetry = telemetry({
        let (read, seen) = (read.clone(), seen.clone());
        move || {
            let read = read.lock().unwrap();
            let (source, metrics) = read.as_ref().unwrap();
            let counts = source.recorder.counts();
            seen.lock().unwrap().push(AtTheEvent {
                spans: counts.queued + counts.exporting + counts.exported,
                in_flight: metrics.sum("http_requests_in_flight", &[]),
            });
        }
    });
    *read.lock().unwrap() = Some((telemetry.source().clone(), telemetry.shared_metrics()));
    let trace = || backend.layer(telemetry.source(), TraceLayer::server().exceptions());
    let inner = service_fn(|_: Request<()>| {
        ready(Err::<Response<Body>, _>(io::Error::from(
            io::ErrorKind::TimedOut,
        )))
    });
    let is_ready = if metrics_outside {
        let layers = observe((MetricsLayer::server(), trace()));
        poll(layers.layer(inner).call(Request::new(()))).is_ready()
    } else {
        let layers = observe((trace(), MetricsLayer::server()));
        poll(layers.layer(inner).call(Request::new(()))).is_ready()
    };
    assert!(is_ready);
    let seen = seen.lock().unwrap().pop();
    seen.unwrap()
}

#[test]
fn an_error_is_logged_after_the_span_of_the_recorder_and_in_a_tracing_span() {
    for (backend, spans) in [(Backend::Recorder, 1), (Backend::TracingRecorder, 0)] {
        for (metrics_outside, in_flight) in [(true, 1.0), (false, 0.0)] {
            let seen = at_the_event(backend, metrics_outside);
            let expected = AtTheEvent { spans, in_flight };
            assert_eq!(seen, expected, "{backend:?} {metrics_outside}");
        }
    }
}
