//! A function that sees the spans before their export.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Span, Status, Tracer, TracerProvider};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use tower_otel_recorder::{Recorder, RecorderBuilder};

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
