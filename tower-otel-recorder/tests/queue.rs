//! The queue: its sizes, its bound, threads that end, and several recorders.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::{KeyValue, trace::TraceContextExt};
use tower_otel_recorder::Recorder;

use crate::support::{LONG, Memory, build, record, start};

#[test]
fn a_size_of_zero_is_an_error_that_names_the_option() {
    let builder = || Recorder::builder(Memory::new(true));
    for (builder, message) in [
        (
            builder().queue_size(0),
            "queue_size of the recorder is 0 (expected at least 1); no recorder is started",
        ),
        (
            builder().batch_size(0),
            "batch_size of the recorder is 0 (expected at least 1); no recorder is started",
        ),
        (
            builder().queue_bytes(0),
            "queue_bytes of the recorder is 0 (expected at least 1); no recorder is started",
        ),
        (
            builder().batch_bytes(0),
            "batch_bytes of the recorder is 0 (expected at least 1); no recorder is started",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn any_number_of_bytes_from_one_on_is_accepted() {
    for (queue, batch) in [
        (1, 1),
        (10_000, 1),
        (usize::MAX, 1),
        (usize::MAX, usize::MAX),
    ] {
        let memory = Memory::new(true);
        let builder = Recorder::builder(memory.clone());
        let recorder = build(builder.queue_bytes(queue).batch_bytes(batch));
        record(&recorder, 2);
        recorder.shutdown(Duration::MAX).unwrap();
        // A queue that is smaller than a span drops all of them.
        let dropped = if queue == 1 { 2 } else { 0 };
        let counts = recorder.counts();
        assert_eq!(counts.queue_bytes_full, dropped, "{queue}, {batch}");
        assert_eq!(memory.spans().len() as u64, 2 - dropped);
    }
}

#[test]
fn any_size_from_one_on_is_accepted() {
    for (queue, batch) in [
        (1, 1),
        (1, usize::MAX),
        (2, usize::MAX),
        (1_048_577, 512),
        (usize::MAX, 1),
        (usize::MAX, usize::MAX),
    ] {
        let memory = Memory::new(true);
        let builder = Recorder::builder(memory.clone());
        let recorder = build(builder.queue_size(queue).batch_size(batch));
        record(&recorder, 1);
        recorder.flush(LONG).unwrap();
        record(&recorder, 1);
        recorder.shutdown(Duration::MAX).unwrap();
        assert_eq!(memory.spans().len(), 2, "{queue}, {batch}");
    }
}

#[test]
fn a_queue_without_a_bound_takes_what_comes() {
    let memory = Memory::new(true);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_size(usize::MAX).batch_size(usize::MAX));
    record(&recorder, 20_000);
    recorder.shutdown(LONG).unwrap();
    assert_eq!(memory.spans().len(), 20_000);
}

#[test]
fn spans_over_the_queue_size_are_dropped_and_counted() {
    let memory = Memory::new(false);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_size(8).batch_size(4));
    record(&recorder, 4);
    memory.wait_for_export();
    // The exporter has four, and eight wait.
    record(&recorder, 20);
    assert_eq!(recorder.counts().dropped, 12);
    memory.open();
    recorder.flush(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!(
        (counts.exported, counts.failed, counts.dropped),
        (12, 0, 12)
    );
}

#[test]
fn the_spans_of_threads_that_have_ended_are_exported() {
    const THREADS: usize = 200;
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()).queue_size(10_000));
    for _ in 0..THREADS / 20 {
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| record(&recorder, 3));
            }
        });
    }
    recorder.flush(LONG).unwrap();
    assert_eq!(memory.spans().len(), 3 * THREADS);
}

#[test]
fn a_span_that_ends_in_the_destructor_of_a_thread_local_is_exported() {
    use std::cell::RefCell;
    use tower_otel_recorder::StartedSpan;
    thread_local! {
        static SPAN: RefCell<Option<StartedSpan>> = const { RefCell::new(None) };
    }
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    std::thread::scope(|scope| {
        scope.spawn(|| SPAN.with(|span| span.replace(Some(start(&recorder, "test")))));
    });
    // The scope does not wait for the destructors of thread-locals.
    support::wait_until("the destructor", || {
        recorder.flush(LONG).unwrap();
        memory.spans().len() == 1
    });
}

#[test]
fn every_span_of_eight_threads_is_exported_or_counted() {
    const THREADS: usize = 8;
    const EACH: usize = 5_000;
    let memory = Memory::new(true);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_size(256).batch_size(64));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| record(&recorder, EACH));
        }
        scope.spawn(|| (0..50).for_each(|_| recorder.flush(LONG).unwrap()));
    });
    recorder.flush(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!(counts.exported, memory.spans().len() as u64);
    assert_eq!(counts.exported + counts.dropped, (THREADS * EACH) as u64);
    assert_eq!(counts.failed, 0);
}

#[test]
fn recorders_of_one_process_do_not_mix_their_spans() {
    let memories = [(); 3].map(|()| Memory::new(true));
    let recorders = memories
        .each_ref()
        .map(|memory| build(Recorder::builder(memory.clone())));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let spans = recorders.each_ref().map(|recorder| start(recorder, "test"));
                    for (n, span) in (0..).zip(&spans) {
                        let context = span.context.as_ref().unwrap();
                        context.span().set_attribute(KeyValue::new("recorder", n));
                    }
                }
            });
        }
    });
    for (n, (recorder, memory)) in (0..).zip(recorders.iter().zip(&memories)) {
        recorder.flush(LONG).unwrap();
        let spans = memory.spans();
        assert_eq!(spans.len(), 400);
        for span in spans {
            assert_eq!(span.attributes, [KeyValue::new("recorder", n)]);
        }
    }
}

#[test]
fn spans_have_the_scope_of_their_tracer() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    for scope in ["a", "b", "a", "c"] {
        drop(start(&recorder, scope));
    }
    recorder.flush(LONG).unwrap();
    let mut scopes = BTreeMap::new();
    for span in memory.spans() {
        let name = span.instrumentation_scope.name().to_owned();
        *scopes.entry(name).or_insert(0) += 1;
    }
    let expected = [("a", 2), ("b", 1), ("c", 1)];
    assert_eq!(
        scopes,
        expected.map(|(name, n)| (name.to_owned(), n)).into()
    );
}
