//! A function that sees the spans before their export.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};
#[cfg(feature = "http")]
use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use opentelemetry::trace::{Span, Status, Tracer, TracerProvider};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use tower_otel_recorder::{Recorder, RecorderBuilder};

#[cfg(feature = "http")]
use crate::support::wait_until;
use crate::support::{LONG, Memory, build};

type Seen = Arc<Mutex<Vec<(otlp::Span, String)>>>;

/// Adds a function that decodes each span.
fn tapped(builder: RecorderBuilder) -> (RecorderBuilder, Seen) {
    let seen = Seen::default();
    let list = Arc::clone(&seen);
    let builder = builder.tap(move |message, scope| {
        let span = otlp::Span::decode(message).unwrap();
        list.lock().unwrap().push((span, scope.name().to_owned()));
    });
    (builder, seen)
}

fn record(recorder: &Recorder) {
    let tracer = recorder.tracer_provider().tracer("scope");
    for name in ["a", "b"] {
        let mut span = tracer.start(name);
        span.set_status(Status::error("failed"));
        span.add_event("event", Vec::new());
        span.end();
    }
}

#[test]
fn the_function_gets_what_the_exporter_gets() {
    let memory = Memory::new(true);
    let (builder, seen) = tapped(Recorder::builder(memory.clone()));
    let recorder = build(builder);
    record(&recorder);
    recorder.flush(LONG).unwrap();
    let exported: Vec<_> = memory.spans().into_iter().map(otlp::Span::from).collect();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for ((seen, scope), exported) in seen.iter().zip(&exported) {
        assert_eq!((seen, &**scope), (exported, "scope"));
        assert_eq!(
            (seen.events.len(), &*seen.status.as_ref().unwrap().message),
            (1, "failed")
        );
    }
}

#[cfg(feature = "http")]
#[test]
fn the_function_gets_what_the_collector_gets() {
    let collector = collector::Collector::http();
    let url = format!("{}/v1/traces", collector.endpoint());
    let exporter = tower_otel_recorder::OtlpExporter::http(url);
    let (builder, seen) = tapped(Recorder::builder(exporter));
    let recorder = build(builder);
    record(&recorder);
    recorder.flush(LONG).unwrap();
    let seen: Vec<_> = seen.lock().unwrap().drain(..).collect();
    assert!(seen.iter().all(|(_, scope)| scope == "scope"));
    let seen: Vec<_> = seen.into_iter().map(|(span, _)| span).collect();
    assert_eq!(
        (seen.len(), &seen),
        (2, &collector.received.lock().unwrap().spans)
    );
}

/// A collector that accepts nothing until it is opened, and a recorder whose batches have one span.
#[cfg(feature = "http")]
fn with_a_collector_that_is_not_ready() -> (
    collector::faulty::FaultyCollector,
    Arc<AtomicBool>,
    Recorder,
    Seen,
) {
    use collector::faulty::{FaultyCollector, Reply};

    let is_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&is_open);
    let collector = FaultyCollector::start(move |_| match opened.load(SeqCst) {
        true => Reply::Accept,
        false => Reply::RetryIn(1),
    });
    let url = format!("http://{}/v1/traces", collector.address);
    let exporter = tower_otel_recorder::OtlpExporter::http(url).timeout(LONG * 2);
    let (builder, seen) = tapped(Recorder::builder(exporter));
    let builder = builder.batch_size(1).delay(Duration::from_millis(10));
    (collector, is_open, builder.build().unwrap(), seen)
}

#[cfg(feature = "http")]
#[test]
fn the_function_gets_each_span_once_while_the_export_of_earlier_ones_is_retried() {
    let (collector, is_open, recorder, seen) = with_a_collector_that_is_not_ready();
    for spans in [2, 4, 6] {
        record(&recorder);
        wait_until("the spans", || seen.lock().unwrap().len() == spans);
        assert_eq!(
            (recorder.counts().exported, recorder.counts().failed),
            (0, 0)
        );
    }
    is_open.store(true, SeqCst);
    recorder.flush(LONG).unwrap();
    let names: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(span, _)| span.name.clone())
        .collect();
    assert_eq!(names, ["a", "b", "a", "b", "a", "b"]);
    assert_eq!(
        (recorder.counts().exported, collector.seen().accepted),
        (6, 6)
    );
}

#[cfg(feature = "http")]
#[test]
fn spans_that_the_function_has_seen_are_counted_once_after_a_shutdown_that_takes_too_long() {
    let (_collector, _, recorder, seen) = with_a_collector_that_is_not_ready();
    record(&recorder);
    wait_until("the spans", || seen.lock().unwrap().len() == 2);
    assert!(recorder.shutdown(Duration::from_millis(1)).is_err());
    // The export thread owns the function.
    wait_until("the end of the thread", || Arc::strong_count(&seen) == 1);
    let counts = recorder.counts();
    assert_eq!((counts.exported, counts.failed + counts.dropped), (0, 2));
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn a_function_that_panics_loses_no_span() {
    let memory = Memory::new(true);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.tap(|_, _| panic!("the tap panics")));
    recorder.tracer_provider().tracer("").start("a").end();
    recorder.flush(LONG).unwrap();
    assert_eq!(memory.spans().len(), 1);
    assert_eq!(recorder.counts().exported, 1);
}
