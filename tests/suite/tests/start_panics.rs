//! A component of the application in a span backend or a metrics backend panics when an exchange starts: the exchange ends as
//! `panic` in the signals that have started, and the panic reaches the caller of the future.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    task::{Context as TaskContext, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{
        Link, SpanBuilder, SpanId, SpanKind, Status, TraceId, Tracer, TracerProvider,
        noop::NoopSpan,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        IdGenerator, InMemorySpanExporter, SamplingResult, SdkTracerProvider, ShouldSample, Span,
        SpanData, SpanProcessor,
    },
};
use suite_tests::{
    backend::{AnyTraceLayer, Backend},
    in_process::hello,
    telemetry::{TestTelemetry, attribute, text},
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_recorder::Recorder;
use tower_otel_trace::TraceLayer;
use tracing::{Dispatch, Subscriber, dispatcher};
use tracing_subscriber::layer::SubscriberExt;

const PAYLOAD: &str = "at the start";

fn panic() -> ! {
    // Unwinds like a panic, without printing a message.
    resume_unwind(Box::new(PAYLOAD))
}

/// Components that panic when a span or a metric starts.
#[derive(Clone, Copy, Debug)]
struct PanickingStart;

impl Tracer for PanickingStart {
    type Span = NoopSpan;

    fn build_with_context(&self, _: SpanBuilder, _: &Context) -> NoopSpan {
        panic()
    }
}

impl TracerProvider for PanickingStart {
    type Tracer = Self;

    fn tracer_with_scope(&self, _: InstrumentationScope) -> Self {
        *self
    }
}

impl ShouldSample for PanickingStart {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        panic()
    }
}

impl IdGenerator for PanickingStart {
    fn new_trace_id(&self) -> TraceId {
        panic()
    }

    fn new_span_id(&self) -> SpanId {
        panic()
    }
}

impl SpanProcessor for PanickingStart {
    fn on_start(&self, _: &mut Span, _: &Context) {
        panic()
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for PanickingStart {
    fn on_new_span(
        &self,
        _: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        panic()
    }
}

impl metrics::Recorder for PanickingStart {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        panic()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        panic()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic()
    }
}

/// Span backends that panic, with the subscriber of `tracing` spans. The recorders record until they are dropped.
type Backends = Vec<(&'static str, AnyTraceLayer, Option<Dispatch>)>;

fn panicking_backends() -> (Backends, Vec<Recorder>) {
    let (mut backends, mut recorders) = (Vec::new(), Vec::new());
    let server = TraceLayer::server;
    let layer = server().tracer_provider(&PanickingStart).any_backend();
    backends.push(("a tracer", layer, None));
    let provider = SdkTracerProvider::builder;
    for (name, provider) in [
        (
            "a sampler of the SDK",
            provider().with_sampler(PanickingStart),
        ),
        (
            "ids of the SDK",
            provider().with_id_generator(PanickingStart),
        ),
        (
            "a span processor",
            provider().with_span_processor(PanickingStart),
        ),
    ] {
        let layer = server().tracer_provider(&provider.build()).any_backend();
        backends.push((name, layer, None));
    }
    let builder = || Recorder::builder(InMemorySpanExporter::default());
    for (name, recorder) in [
        ("a sampler", builder().sampler(PanickingStart)),
        ("ids", builder().id_generator(PanickingStart)),
    ] {
        let recorder = recorder.build().unwrap();
        backends.push((name, server().recorder(&recorder).any_backend(), None));
        let provider = recorder.tracer_provider();
        let layer = server().tracer_provider(&provider).any_backend();
        backends.push((name, layer, None));
        let subscriber = tracing_subscriber::registry().with(recorder.layer());
        let subscriber = Some(Dispatch::new(subscriber));
        backends.push((name, server().any_backend(), subscriber));
        recorders.push(recorder);
    }
    let subscriber = tracing_subscriber::registry().with(PanickingStart);
    let subscriber = Some(Dispatch::new(subscriber));
    backends.push(("a subscriber", server().any_backend(), subscriber));
    (backends, recorders)
}

type Hello = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;
type Inner = tower::util::ServiceFn<fn(Request<()>) -> Hello>;

/// Checks that the future of a request panics, and `call` does not.
fn assert_future_panics<S, B>(layer: impl Layer<Inner, Service = S>, case: &str)
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let request = Request::post("/shop.Cart/Add")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc");
    let mut future = pin!(service.call(request.body(()).unwrap()));
    let cx = &mut TaskContext::from_waker(Waker::noop());
    let poll = || future.as_mut().poll(cx).map(|_| ());
    let panic = catch_unwind(AssertUnwindSafe(poll)).expect_err(case);
    assert_eq!(panic.downcast_ref(), Some(&PAYLOAD), "{case}");
}

#[test]
fn a_span_that_panics_when_it_starts_ends_the_exchange_of_the_metrics() {
    let (backends, _recorders) = panicking_backends();
    for (case, trace, subscriber) in backends {
        let telemetry = TestTelemetry::new();
        let run = || assert_future_panics(observe((MetricsLayer::server(), trace)), case);
        match &subscriber {
            Some(subscriber) => dispatcher::with_default(subscriber, run),
            None => run(),
        }
        let metrics = telemetry.metrics();
        let panicked = telemetry.sum("http_requests_total", &[("status", "panic")]);
        assert_eq!(panicked, 1.0, "{case}: {metrics}");
        let in_flight = telemetry.sum("http_requests_in_flight", &[]);
        assert_eq!(in_flight, 0.0, "{case}: {metrics}");
    }
}

#[test]
fn metrics_that_panic_when_they_start_end_the_span() {
    for backend in Backend::ALL {
        let renamed = MetricsLayer::server().grpc().rename(|_| panic());
        let plain = MetricsLayer::server();
        for (case, layer) in [("a name", renamed), ("a recorder", plain)] {
            let case = format!("{case} with {backend:?}");
            let telemetry = TestTelemetry::new();
            let trace = backend.layer(telemetry.source(), TraceLayer::server());
            metrics::with_local_recorder(&PanickingStart, || {
                assert_future_panics(observe((trace, layer)), &case);
            });
            let spans = telemetry.spans();
            assert_eq!(spans.len(), 1, "{case}");
            let span = &spans[0];
            assert_eq!(text(span, "error.type").as_deref(), Some("panic"), "{case}");
            assert!(matches!(span.status, Status::Error { .. }), "{case}");
            assert_eq!(attribute(span, "http.response.status_code"), None, "{case}");
        }
    }
}
