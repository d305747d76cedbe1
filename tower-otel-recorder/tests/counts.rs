//! Every span is counted once, by what became of it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::Sampler;
use tower_otel_recorder::{Recorder, RecorderSpanExt, SpanCounts};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{LONG, Memory, Scene, build, record, start};

/// The number of spans that have started and not ended.
fn open(counts: SpanCounts) -> u64 {
    let SpanCounts {
        queued,
        exporting,
        exported,
        failed,
        rejected,
        dropped,
        ..
    } = counts;
    counts.started - queued - exporting - exported - failed - rejected - dropped
}

#[test]
fn a_span_is_open_then_queued_then_exporting_then_exported() {
    let memory = Memory::new(false);
    let recorder = build(
        Recorder::builder(memory.clone())
            .queue_size(4)
            .batch_size(2),
    );
    let span = start(&recorder, "test");
    let counts = recorder.counts();
    assert_eq!((open(counts), counts.started), (1, 1));
    drop(span);
    let counts = recorder.counts();
    assert_eq!((open(counts), counts.queued), (0, 1));
    record(&recorder, 1);
    memory.wait_for_export();
    let counts = recorder.counts();
    assert_eq!((counts.queued, counts.exporting), (0, 2));
    record(&recorder, 5);
    let counts = recorder.counts();
    assert_eq!(
        (counts.queued, counts.queue_full, counts.dropped),
        (4, 1, 1)
    );
    memory.open();
    recorder.flush(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!(
        (counts.queued, counts.exporting, counts.exported),
        (0, 0, 6)
    );
    assert_eq!((open(counts), counts.started), (0, 7));
    recorder.shutdown(LONG).unwrap();
    // A span that starts later is not recorded.
    record(&recorder, 1);
    assert_eq!(recorder.counts(), counts);
}

#[test]
fn a_span_that_ends_after_the_shutdown_is_dropped_for_no_full_queue() {
    let recorder = build(Recorder::builder(Memory::new(true)));
    let span = start(&recorder, "test");
    recorder.shutdown(LONG).unwrap();
    drop(span);
    let counts = recorder.counts();
    assert_eq!((counts.dropped, open(counts)), (1, 0));
    assert_eq!((counts.queue_full, counts.queue_bytes_full), (0, 0));
}

fn sampled_parent() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(7),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    ))
}

#[test]
fn spans_of_every_source_are_counted_when_they_are_sampled() {
    let off = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    for (sampler, started) in [(Sampler::AlwaysOn, 4), (off, 0)] {
        let scene = Scene::with(sampler, |layer| layer);
        let tracer = scene.recorder.tracer_provider().tracer("test");
        let span = info_span!("root");
        let child = span.in_scope(|| info_span!("child"));
        let api = Tracer::start(&tracer, "api");
        let direct = start(&scene.recorder, "test");
        assert_eq!(open(scene.recorder.counts()), started);
        drop((span, child, api, direct));
        let counts = scene.recorder.counts();
        assert_eq!((open(counts), counts.queued), (0, started));
    }
}

#[test]
fn a_parent_that_is_set_decides_whether_the_span_counts() {
    let off = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    let scene = Scene::with(off, |layer| layer);
    let span = info_span!("span");
    assert_eq!(scene.recorder.counts().started, 0);
    for _ in 0..2 {
        span.set_parent(sampled_parent()).unwrap();
        assert_eq!(scene.recorder.counts().started, 1);
    }
    // Another thread takes the start back.
    std::thread::scope(|scope| {
        scope.spawn(|| span.set_parent(Context::new()).unwrap());
    });
    assert_eq!(scene.recorder.counts().started, 0);
    drop(span);
    assert_eq!(scene.recorder.counts(), SpanCounts::default());
}

#[test]
fn spans_that_another_layer_records_do_not_count() {
    let recorders = [(); 2].map(|()| build(Recorder::builder(Memory::new(true))));
    let [first, second] = &recorders;
    let subscriber = tracing_subscriber::registry()
        .with(first.layer())
        .with(second.layer());
    tracing::subscriber::with_default(subscriber, || drop(info_span!("span")));
    let started = recorders
        .each_ref()
        .map(|recorder| recorder.counts().started);
    assert_eq!(started, [1, 0]);
}

/// An error that panics when its cause is asked for.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        panic!("the cause");
    }
}

#[test]
fn an_error_that_panics_costs_its_causes_only() {
    let scene = Scene::new();
    let error: &(dyn std::error::Error + 'static) = &Broken;
    drop(info_span!("span", error));
    let span = scene.span("span");
    let message = span.attributes.iter().find(|a| a.key.as_str() == "error");
    assert!(message.is_some_and(|a| a.value.as_str() == "broken"));
    assert_eq!(open(scene.recorder.counts()), 0);
}

#[test]
fn a_start_that_panics_does_not_count() {
    let recorder = build(Recorder::builder(Memory::new(true)));
    let tracer = recorder.tracer_with_scope(std::sync::Arc::default());
    let start = tower_otel_recorder::SpanStart {
        kind: opentelemetry::trace::SpanKind::Internal,
        base: &Context::new(),
        remote: None,
        link: None,
        at: std::time::Instant::now(),
    };
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tracer.start_record(
            start,
            || ("span".into(), Vec::new()),
            |_| panic!("the attributes"),
        )
    }));
    assert!(started.is_err());
    assert_eq!(recorder.counts(), SpanCounts::default());
}
