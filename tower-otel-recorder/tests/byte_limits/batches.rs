//! A batch and the queue have a maximum of bytes.

use std::sync::atomic::Ordering::SeqCst;

use opentelemetry::{
    KeyValue,
    trace::{Span, Tracer, TracerProvider},
};
use tower_otel_recorder::Recorder;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    sizes::Collector,
    support::{LONG, Memory, build, start},
};

#[test]
fn requests_with_long_paths_do_not_lose_the_spans_of_others() {
    let collector = Collector::new();
    let recorder = build(Recorder::builder(collector.clone()).queue_size(4096));
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::with_default(subscriber, || {
        let (path, user_agent) = ("p".repeat(60_000), "u".repeat(300_000));
        for n in 0..2_000 {
            if n % 30 == 0 {
                drop(info_span!("hostile", path, user_agent));
            }
            drop(info_span!(
                "honest",
                path = "/users/7",
                user_agent = "curl/8.5.0"
            ));
        }
    });
    let _ = recorder.flush(LONG);
    let spans = collector.spans.spans();
    let honest = spans.iter().filter(|span| span.name == "honest").count();
    assert_eq!(honest, 2_000, "{:?}", recorder.counts());
    assert_eq!(spans.len(), 2_067);
}

#[test]
fn a_batch_has_at_most_its_bytes() {
    let collector = Collector::new();
    let recorder = build(
        Recorder::builder(collector.clone())
            .batch_bytes(40_000)
            .batch_size(usize::MAX),
    );
    let tracer = recorder.tracer_provider().tracer("test");
    for _ in 0..100 {
        let mut span = Tracer::start(&tracer, "span");
        span.set_attribute(KeyValue::new("text", "x".repeat(4_000)));
    }
    recorder.flush(LONG).unwrap();
    assert_eq!(collector.spans.spans().len(), 100);
    let largest = collector.largest.load(SeqCst);
    assert!((10_000..=40_000).contains(&largest), "{largest}");
}

#[test]
fn a_record_that_is_larger_than_a_batch_is_exported_alone() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()).batch_bytes(1));
    for _ in 0..3 {
        drop(start(&recorder, "test"));
    }
    recorder.flush(LONG).unwrap();
    assert_eq!((memory.spans().len(), memory.exports()), (3, 3));
}

#[test]
fn spans_over_the_bytes_of_the_queue_are_dropped_and_counted_by_reason() {
    let memory = Memory::new(false);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_bytes(100_000).batch_size(1));
    let tracer = recorder.tracer_provider().tracer("test");
    let record = |text: usize| {
        let mut span = Tracer::start(&tracer, "span");
        span.set_attribute(KeyValue::new("text", "x".repeat(text)));
    };
    record(1);
    memory.wait_for_export();
    for _ in 0..100 {
        record(4_000);
    }
    let counts = recorder.counts();
    assert!((75..95).contains(&counts.queue_bytes_full), "{counts:?}");
    assert_eq!(counts.dropped, counts.queue_bytes_full);
    assert_eq!((counts.queue_full, counts.exporting), (0, 1));
    assert_eq!(counts.queued + counts.dropped, 100);
    memory.open();
    recorder.flush(LONG).unwrap();
    // The bytes are free again.
    let exported = recorder.counts().exported;
    for _ in 0..10 {
        record(4_000);
    }
    recorder.flush(LONG).unwrap();
    assert_eq!(recorder.counts().exported, exported + 10);
}

#[test]
fn many_bytes_are_exported_before_the_delay_is_over() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()).batch_bytes(100_000));
    let tracer = recorder.tracer_provider().tracer("test");
    for _ in 0..30 {
        let mut span = Tracer::start(&tracer, "span");
        span.set_attribute(KeyValue::new("text", "x".repeat(4_000)));
    }
    // The delay of this recorder is an hour.
    memory.wait_for_export();
}
