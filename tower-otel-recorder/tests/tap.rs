//! A function that sees the spans before their export.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Span, Status, Tracer, TracerProvider};
use tower_otel_recorder::Recorder;

use crate::support::{LONG, Memory, build};

#[test]
fn the_function_gets_what_the_exporter_gets() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (memory, list) = (Memory::new(true), Arc::clone(&seen));
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.tap(move |span| list.lock().unwrap().push(span)));
    let tracer = recorder.tracer_provider().tracer("");
    for name in ["a", "b"] {
        let mut span = tracer.start(name);
        span.set_status(Status::error("failed"));
        span.add_event("event", Vec::new());
        span.end();
    }
    recorder.flush(LONG).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), &*seen), (2, &memory.spans()));
}

#[test]
fn a_function_that_panics_loses_no_span() {
    let memory = Memory::new(true);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.tap(|_| panic!("the tap panics")));
    recorder.tracer_provider().tracer("").start("a").end();
    recorder.flush(LONG).unwrap();
    assert_eq!(memory.spans().len(), 1);
    assert_eq!(recorder.counts().exported, 1);
}
