//! Recorders that end in odd places, and spans that end after them.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::{cell::RefCell, sync::mpsc};

use opentelemetry::trace::{Span, Tracer, TracerProvider};
use tower_otel_recorder::Recorder;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{LONG, Memory, build, start};

#[test]
fn a_recorder_that_is_dropped_inside_a_span_leaves_the_program_as_it_is() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("outer").entered();
        drop(info_span!("before"));
        drop(recorder);
        info!("an event");
        outer.record("late", 1);
        info_span!("inner").in_scope(|| info!("another event"));
        drop(outer);
    });
    let names: Vec<_> = memory.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["before"]);
}

#[test]
fn a_span_of_the_api_outlives_the_recorder() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let tracer = recorder.tracer_provider().tracer("test");
    let mut span = Tracer::start(&tracer, "span");
    drop(recorder);
    span.add_event("late", Vec::new());
    drop(span);
    assert!(!Tracer::start(&tracer, "later").is_recording());
    assert_eq!(memory.spans().len(), 0);
}

/// Sends the result of a shutdown when a thread-local is destroyed.
struct ShutsDown {
    recorder: Recorder,
    result: mpsc::Sender<bool>,
}

impl Drop for ShutsDown {
    fn drop(&mut self) {
        drop(start(&self.recorder, "test"));
        let result = self.recorder.shutdown(LONG);
        let _ = self.result.send(result.is_ok());
    }
}

#[test]
fn a_shutdown_in_the_destructor_of_a_thread_local_exports_everything() {
    thread_local! {
        static RECORDER: RefCell<Option<ShutsDown>> = const { RefCell::new(None) };
    }
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let (result, results) = mpsc::channel();
    std::thread::spawn(move || {
        // Some thread-locals of the recorder are destroyed earlier, others later.
        drop(start(&recorder, "test"));
        RECORDER.with(|local| local.replace(Some(ShutsDown { recorder, result })));
    });
    assert!(results.recv_timeout(LONG).unwrap());
    assert_eq!(memory.spans().len(), 2);
}

#[test]
fn a_megabyte_as_the_name_of_a_span_or_an_event_is_cut() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let long = "x".repeat(1 << 20);
    let tracer = recorder.tracer_provider().tracer("test");
    let mut span = Tracer::start(&tracer, long.clone());
    span.update_name(long.clone());
    span.add_event(long, Vec::new());
    drop(span);
    recorder.flush(LONG).unwrap();
    let spans = memory.spans();
    let [span] = &*spans else { panic!("{spans:?}") };
    assert_eq!(span.name, "x".repeat(4096));
    let names = span.events.events.iter().map(|event| event.name.len());
    assert_eq!(names.collect::<Vec<_>>(), [4096]);
}
