//! Spans of the layer through a recorder: every span is exported or counted, and requests do not wait.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};
use opentelemetry::{
    Context, KeyValue, TraceFlags,
    trace::{SpanContext, SpanId, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter, SpanLimits},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_recorder::{Recorder, RecorderBuilder};
use tower_otel_trace::{RecorderBackend, TraceLayer};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// An exporter that stores spans, and blocks until it is opened.
#[derive(Clone, Debug)]
struct Memory {
    spans: Arc<Mutex<Vec<SpanData>>>,
    is_open: Arc<(Mutex<bool>, Condvar)>,
    exports: Arc<AtomicUsize>,
}

impl Memory {
    fn new(open: bool) -> Self {
        Self {
            spans: Arc::default(),
            is_open: Arc::new((Mutex::new(open), Condvar::new())),
            exports: Arc::default(),
        }
    }

    fn open(&self) {
        *self.is_open.0.lock().unwrap() = true;
        self.is_open.1.notify_all();
    }

    /// Waits until an export has started.
    fn wait_for_export(&self) {
        let deadline = Instant::now() + LONG;
        while self.exports.load(SeqCst) == 0 {
            assert!(Instant::now() < deadline, "nothing is exported");
            std::thread::yield_now();
        }
    }

    fn spans(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap().clone()
    }
}

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exports.fetch_add(1, SeqCst);
        let open = self.is_open.0.lock().unwrap();
        drop(self.is_open.1.wait_while(open, |open| !*open).unwrap());
        self.spans.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// An exporter whose first export fails or panics.
#[derive(Debug)]
struct FailsOnce {
    memory: Memory,
    panics: bool,
    before: AtomicUsize,
}

impl SpanExporter for FailsOnce {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.before.fetch_add(1, SeqCst) > 0 {
            return self.memory.export(batch).await;
        }
        assert!(!self.panics, "the exporter panics once");
        Err(OTelSdkError::InternalFailure("no collector".to_owned()))
    }
}

fn layer(recorder: &Recorder) -> TraceLayer<RecorderBackend> {
    TraceLayer::server().recorder(recorder)
}

/// Builds a recorder that exports when a batch is full or a flush is requested.
fn build(builder: RecorderBuilder) -> Recorder {
    builder.delay(Duration::from_secs(3600)).build().unwrap()
}

fn respond<S>(service: S, request: http::request::Builder)
where
    S: Service<Request<String>, Error = Infallible>,
{
    let request = request.body(String::new()).unwrap();
    assert!(futures_executor::block_on(service.oneshot(request)).is_ok());
}

fn exchanges(layer: &TraceLayer<RecorderBackend>, count: usize) {
    for _ in 0..count {
        let service = service_fn(async |_: Request<String>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        respond(layer.layer(service), Request::get("/users/7"));
    }
}

/// Runs one exchange with a handler.
fn with_handler(recorder: &Recorder, request: http::request::Builder, handle: impl Fn()) {
    let service = service_fn(|_: Request<String>| {
        handle();
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    respond(layer(recorder).layer(service), request);
}

#[test]
fn spans_over_the_queue_size_are_dropped_and_counted() {
    let memory = Memory::new(false);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_size(8).batch_size(4));
    let layer = layer(&recorder);
    exchanges(&layer, 4);
    memory.wait_for_export();
    // The exporter has four, and eight wait.
    exchanges(&layer, 20);
    assert_eq!(recorder.counts().dropped, 12);
    memory.open();
    recorder.flush(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!(
        (counts.exported, counts.failed, counts.dropped),
        (12, 0, 12)
    );
    assert_eq!(memory.spans().len(), 12);
}

#[test]
fn requests_with_a_long_tracestate_do_not_fill_the_queue() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(memory.clone()));
    let tracer = recorder.tracer_provider().tracer("a handler");
    let members = (10..42).map(|n| format!("k{n}={}", "v".repeat(256)));
    let state = members.collect::<Vec<_>>().join(",");
    for _ in 0..180 {
        let request = Request::get("/")
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            )
            .header("tracestate", &state);
        with_handler(&recorder, request, || {
            for _ in 0..10 {
                drop(tracer.start("inner"));
            }
        });
    }
    let counts = recorder.counts();
    assert_eq!(counts.dropped, 0, "{counts:?}");
    memory.open();
    recorder.flush(LONG).unwrap();
    let spans = memory.spans();
    assert_eq!(spans.len(), 180 * 11);
    let state = |span: &SpanData| span.span_context.trace_state().header();
    assert!(
        spans
            .iter()
            .all(|span| (256..=512).contains(&state(span).len()))
    );
}

#[test]
fn every_span_of_eight_threads_is_exported_or_counted() {
    const THREADS: usize = 8;
    const EACH: usize = 2_000;
    let memory = Memory::new(true);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_size(64).batch_size(16));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| exchanges(&layer(&recorder), EACH));
        }
    });
    recorder.flush(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!(counts.exported, memory.spans().len() as u64);
    assert_eq!(counts.exported + counts.dropped, (THREADS * EACH) as u64);
    assert_eq!(counts.failed, 0);
}

#[test]
fn an_exporter_that_fails_or_panics_once_loses_one_batch() {
    for panics in [false, true] {
        let memory = Memory::new(true);
        let recorder = build(Recorder::builder(FailsOnce {
            memory: memory.clone(),
            panics,
            before: AtomicUsize::new(0),
        }));
        let layer = layer(&recorder);
        exchanges(&layer, 3);
        assert!(recorder.flush(LONG).is_err());
        exchanges(&layer, 2);
        recorder.flush(LONG).unwrap();
        let counts = recorder.counts();
        assert_eq!((counts.exported, counts.failed, counts.dropped), (2, 3, 0));
        assert_eq!(memory.spans().len(), 2);
    }
}

#[test]
fn a_flush_and_a_shutdown_time_out_while_the_exporter_hangs() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(memory.clone()));
    exchanges(&layer(&recorder), 1);
    let short = Duration::from_millis(20);
    let timed_out = |result| matches!(result, Err(OTelSdkError::Timeout(_)));
    assert!(timed_out(recorder.flush(short)));
    assert!(timed_out(recorder.shutdown(short)));
    let again = recorder.flush(short);
    assert!(matches!(again, Err(OTelSdkError::AlreadyShutdown)));
    memory.open();
}

#[test]
fn dropping_the_recorder_exports_the_spans_that_have_ended() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let layer = layer(&recorder);
    exchanges(&layer, 300);
    drop(recorder);
    assert_eq!(memory.spans().len(), 300);
    // Requests are served without spans.
    exchanges(&layer, 1);
    assert_eq!(memory.spans().len(), 300);
}

#[test]
fn a_span_that_ends_after_the_shutdown_is_counted_as_dropped() {
    let recorder = build(Recorder::builder(Memory::new(true)));
    let mut service = layer(&recorder).layer(service_fn(|_: Request<String>| {
        pending::<Result<Response<String>, Infallible>>()
    }));
    let open = service.call(Request::new(String::new()));
    recorder.shutdown(LONG).unwrap();
    drop(open);
    let counts = recorder.counts();
    assert_eq!((counts.exported, counts.dropped), (0, 1));
}

#[test]
fn an_unsampled_span_is_not_exported_and_its_children_are_unsampled() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "00f067aa0ba902b7";
    let parent_based = || Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    for (sampler, flags, sampled) in [
        (parent_based(), 0, false),
        (parent_based(), 1, true),
        (Sampler::AlwaysOff, 1, false),
        (Sampler::AlwaysOn, 0, true),
        (Sampler::TraceIdRatioBased(0.0), 1, false),
        (Sampler::TraceIdRatioBased(1.0), 0, true),
    ] {
        let case = format!("{sampler:?}, flags {flags}");
        let memory = Memory::new(true);
        let recorder = build(Recorder::builder(memory.clone()).sampler_without_attributes(sampler));
        let current = Mutex::new(None);
        let header = format!("00-{TRACE}-{PARENT}-0{flags}");
        let request = Request::get("/").header("traceparent", header);
        with_handler(&recorder, request, || {
            let context = Context::current();
            let (span, mut current) = (context.span(), current.lock().unwrap());
            *current = Some((span.span_context().clone(), span.is_recording()));
        });
        recorder.flush(LONG).unwrap();
        let (context, recording) = current.lock().unwrap().take().unwrap();
        assert_eq!(
            (context.is_sampled(), recording),
            (sampled, sampled),
            "{case}"
        );
        assert_eq!(context.trace_id().to_string(), TRACE);
        assert_ne!(context.span_id().to_string(), PARENT);
        let spans = memory.spans();
        assert_eq!(spans.len(), usize::from(sampled), "{case}");
        for span in spans {
            assert_eq!(span.span_context.span_id(), context.span_id());
            assert_eq!(span.parent_span_id.to_string(), PARENT);
            assert!(span.parent_span_is_remote);
        }
    }
}

#[test]
fn a_ratio_sampler_samples_its_share_of_the_traces() {
    let memory = Memory::new(true);
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    let recorder = build(Recorder::builder(memory.clone()).sampler_without_attributes(sampler));
    exchanges(&layer(&recorder), 4_000);
    recorder.flush(LONG).unwrap();
    // A tenth; six standard deviations are 114.
    let taken = memory.spans().len();
    assert!((286..=514).contains(&taken), "{taken}");
    assert_eq!(recorder.counts().exported, taken as u64);
}

#[test]
fn changes_by_handlers_are_exported_within_the_limits() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()).limits(SpanLimits {
        max_events_per_span: 1,
        ..SpanLimits::default()
    }));
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(memory.clone())
        .build();
    let child = Mutex::new(None);
    with_handler(&recorder, Request::get("/users/7"), || {
        *child.lock().unwrap() = Some(provider.tracer("a handler").start("child"));
        let (trace, span) = (7_u128.into(), 7_u64.into());
        let state = Default::default();
        let other = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state);
        let context = Context::current();
        let span = context.span();
        span.set_attribute(KeyValue::new("shop.cache", "hit"));
        span.add_event("first", vec![KeyValue::new("n", 1)]);
        span.add_event("second", Vec::new());
        span.add_link(other, Vec::new());
        span.update_name("GET /own");
        span.set_status(Status::Ok);
        span.set_status(Status::error("too late"));
    });
    recorder.flush(LONG).unwrap();
    drop(child);
    let spans = memory.spans();
    let [span, child] = spans.as_slice() else {
        panic!("two spans, not {spans:#?}");
    };
    assert_eq!(child.parent_span_id, span.span_context.span_id());
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert_eq!(span.name, "GET /own");
    assert_eq!(span.status, Status::Ok);
    assert!(
        span.attributes
            .contains(&KeyValue::new("shop.cache", "hit"))
    );
    assert_eq!((span.events.len(), span.events.dropped_count), (1, 1));
    assert_eq!(span.links.len(), 1);
    assert!(span.end_time >= span.start_time);
}

#[test]
fn a_span_that_a_handler_ends_is_exported_once() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    with_handler(&recorder, Request::get("/"), || {
        let context = Context::current();
        context.span().end();
        context.span().set_attribute(KeyValue::new("late", true));
        assert!(!context.span().is_recording());
    });
    recorder.flush(LONG).unwrap();
    let spans = memory.spans();
    assert_eq!(spans.len(), 1);
    let mut attributes = spans.iter().flat_map(|span| &span.attributes);
    assert!(attributes.all(|attribute| attribute.key.as_str() != "late"));
}
