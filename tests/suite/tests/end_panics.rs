//! A component of the application in a backend, such as a processor or a meter, panics when an exchange ends. Each signal ends
//! once, no exchange stays in flight, and the next exchange is recorded.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::Ready,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{
        Counter, Histogram, HistogramBuilder, InstrumentBuilder, InstrumentProvider, Meter,
        MeterProvider, SyncInstrument, UpDownCounter,
    },
    trace::Status,
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use suite_tests::{
    backend::Backend,
    in_process::{hello, poll_to_end},
    telemetry::{TestTelemetry, text},
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

const PAYLOAD: &str = "of the backend";

fn panic() -> ! {
    // Unwinds like a panic, without printing a message.
    resume_unwind(Box::new(PAYLOAD))
}

type Hello = Ready<Result<Response<Full<Bytes>>, Infallible>>;
type Inner = tower::util::ServiceFn<fn(Request<()>) -> Hello>;

/// Makes an exchange. Returns its panic payload.
fn exchange<S, B>(service: &mut S) -> Option<&'static str>
where
    S: Service<Request<()>, Response = Response<B>>,
    B: Body,
{
    let request = Request::get("http://api.example/").body(()).unwrap();
    let exchange = AssertUnwindSafe(|| poll_to_end(service, request));
    let panic = catch_unwind(exchange).err()?;
    panic.downcast_ref().copied()
}

fn service<S>(layer: impl Layer<Inner, Service = S>) -> S {
    layer.layer(service_fn(hello as fn(_) -> _))
}

/// The point at which a meter panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    /// When instruments are created.
    Start,
    /// When a duration is recorded.
    End,
    Never,
}

/// A meter of the application.
#[derive(Clone)]
struct TestMeter {
    panics: Panics,
    in_flight: Arc<AtomicI64>,
    durations: Arc<AtomicUsize>,
}

struct InFlight(TestMeter);
struct Durations(TestMeter);

impl SyncInstrument<i64> for InFlight {
    fn measure(&self, change: i64, _: &[KeyValue]) {
        self.0.in_flight.fetch_add(change, SeqCst);
    }
}

impl SyncInstrument<f64> for Durations {
    fn measure(&self, _: f64, _: &[KeyValue]) {
        if self.0.panics == Panics::End {
            panic();
        }
        self.0.durations.fetch_add(1, SeqCst);
    }
}

impl InstrumentProvider for TestMeter {
    fn u64_counter(&self, _: InstrumentBuilder<'_, Counter<u64>>) -> Counter<u64> {
        panic!("the layers make no counter of OpenTelemetry by the names of the conventions")
    }

    fn i64_up_down_counter(
        &self,
        _: InstrumentBuilder<'_, UpDownCounter<i64>>,
    ) -> UpDownCounter<i64> {
        UpDownCounter::new(Arc::new(InFlight(self.clone())))
    }

    fn f64_histogram(&self, _: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        if self.panics == Panics::Start {
            panic();
        }
        Histogram::new(Arc::new(Durations(self.clone())))
    }
}

impl MeterProvider for TestMeter {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(self.clone()))
    }
}

impl TestMeter {
    fn new(panics: Panics) -> Self {
        Self {
            panics,
            in_flight: Arc::default(),
            durations: Arc::default(),
        }
    }
}

#[test]
fn a_meter_that_panics_leaves_one_span_and_nothing_in_flight() {
    for backend in Backend::ALL {
        for panics in [Panics::Start, Panics::End, Panics::Never] {
            for trace_outside in [true, false] {
                let case = format!("{backend:?} {panics:?} {trace_outside}");
                let telemetry = TestTelemetry::new();
                let meter = TestMeter::new(panics);
                let trace = backend.layer(telemetry.source(), TraceLayer::server());
                let metrics = MetricsLayer::server()
                    .names(tower_otel_metrics::Names::Conventions)
                    .meter_provider(&meter);
                let payload = if trace_outside {
                    exchange(&mut service(observe((trace, metrics))))
                } else {
                    exchange(&mut service(observe((metrics, trace))))
                };
                let panicked = panics != Panics::Never;
                assert_eq!(payload, panicked.then_some(PAYLOAD), "{case}");
                assert_eq!(meter.in_flight.load(SeqCst), 0, "{case}");
                let durations = meter.durations.load(SeqCst);
                assert_eq!(durations, usize::from(!panicked), "{case}");
                // If the outer metrics panic when they start, no inner span has started.
                let spans = telemetry.spans();
                let expected = usize::from(trace_outside || panics != Panics::Start);
                assert_eq!(spans.len(), expected, "{case}: {spans:#?}");
                if trace_outside && panics == Panics::Start {
                    let error = text(&spans[0], "error.type");
                    assert_eq!(error.as_deref(), Some("panic"), "{case}");
                    assert!(matches!(spans[0].status, Status::Error { .. }), "{case}");
                }
            }
        }
    }
}

/// A span processor that panics when a span ends, while it is armed.
#[derive(Debug)]
struct PanickingEnd {
    is_armed: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
}

impl SpanProcessor for PanickingEnd {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, _: SpanData) {
        self.ended.fetch_add(1, SeqCst);
        if self.is_armed.load(SeqCst) {
            panic();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn a_span_processor_that_panics_at_the_end_leaves_one_count_and_nothing_in_flight() {
    for trace_outside in [true, false] {
        let telemetry = TestTelemetry::new();
        let (is_armed, ended) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(PanickingEnd {
                is_armed: Arc::clone(&is_armed),
                ended: Arc::clone(&ended),
            })
            .build();
        let trace = TraceLayer::server().tracer_provider(&provider);
        let metrics = MetricsLayer::server();
        let mut run: Box<dyn FnMut() -> Option<&'static str>> = if trace_outside {
            let mut service = service(observe((trace, metrics)));
            Box::new(move || exchange(&mut service))
        } else {
            let mut service = service(observe((metrics, trace)));
            Box::new(move || exchange(&mut service))
        };
        for (armed, exchanges) in [(true, 1), (true, 2), (false, 3)] {
            is_armed.store(armed, SeqCst);
            assert_eq!(run(), armed.then_some(PAYLOAD), "{trace_outside}");
            assert_eq!(ended.load(SeqCst), exchanges, "{trace_outside}");
            let metrics = telemetry.metrics();
            let sum = |name| telemetry.sum(name, &[]);
            assert_eq!(sum("http_requests_total"), exchanges as f64, "{metrics}");
            assert_eq!(sum("http_requests_in_flight"), 0.0, "{metrics}");
        }
    }
}
