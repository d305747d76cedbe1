//! Models of the recorder: a thread that exports spans, and other threads that end them. Its delay is infinite.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use loom::thread;
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::SpanLimits;

use crate::{changes::ContextChanges, pipeline::Pipeline, sync::current_thread};

const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// In the first block there is a place for each of these threads.
const MAIN: usize = 0;
const OTHER: usize = 1;

type Spans = Arc<Pipeline<u8>>;

fn pipeline(batch: usize) -> Spans {
    Arc::new(Pipeline::new(2, batch))
}

/// Does what the export thread does, without an exporter, until a shutdown or until so many spans are exported.
fn export(pipeline: &Pipeline<u8>, until: u64) {
    pipeline.set_thread(current_thread());
    let mut done = 0;
    while pipeline.counters().read().exported < until {
        let turn = pipeline.next_turn(Instant::now() + LONG, done);
        let mut backlog = Vec::new();
        pipeline.drain(&mut backlog);
        if !backlog.is_empty() && pipeline.begin_export(backlog.len()) {
            pipeline.end_export(backlog.len(), true);
        }
        done = turn.flushes;
        pipeline.end_turn(done, None);
        if turn.shutdown.is_some() {
            break;
        }
    }
    pipeline.end_thread();
}

fn spawn(pipeline: &Spans, until: u64) -> thread::JoinHandle<()> {
    let pipeline = Arc::clone(pipeline);
    thread::spawn(move || export(&pipeline, until))
}

fn counted(pipeline: &Spans) -> u64 {
    let counts = pipeline.counters().read();
    counts.exported + counts.failed + counts.dropped
}

/// A flush wakes the export thread, whatever it does.
pub fn a_flush_exports_queued_spans_and_wakes_the_caller() {
    let pipeline = pipeline(2);
    let thread = spawn(&pipeline, u64::MAX);
    pipeline.push(MAIN, 1);
    pipeline.flush(LONG).unwrap();
    assert_eq!(pipeline.counters().read().exported, 1);
    pipeline.shutdown(LONG).unwrap();
    thread.join().unwrap();
}

/// A span ends on another thread during the shutdown.
pub fn a_span_that_ends_during_the_shutdown_is_exported_or_counted() {
    let pipeline = pipeline(2);
    let thread = spawn(&pipeline, u64::MAX);
    let pushes = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.push(OTHER, 1))
    };
    pipeline.shutdown(LONG).unwrap();
    pushes.join().unwrap();
    thread.join().unwrap();
    assert_eq!(counted(&pipeline), 1);
}

/// A span ends on a thread without a buffer, in a block that does not exist yet.
pub fn a_new_buffer_during_the_shutdown_is_emptied_or_refuses() {
    let pipeline = pipeline(2);
    let pushes = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.push(7, 1))
    };
    pipeline.end_thread();
    pushes.join().unwrap();
    assert_eq!(counted(&pipeline), 1);
}

/// Two threads end a span each, and a batch is one span.
pub fn a_full_batch_is_exported_before_the_delay_is_over() {
    let pipeline = pipeline(1);
    let thread = spawn(&pipeline, 2);
    let pushes = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.push(OTHER, 1))
    };
    pipeline.push(MAIN, 2);
    pushes.join().unwrap();
    thread.join().unwrap();
    assert_eq!(pipeline.counters().read().exported, 2);
}

/// Two threads take records while the export thread returns two to an empty pool.
pub fn a_pooled_record_is_taken_once() {
    let pipeline = pipeline(2);
    let take = |thread| {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.take_spare(thread))
    };
    let (one, other) = (take(MAIN), take(OTHER));
    pipeline.give_back(&mut vec![1, 2]);
    let mut taken = vec![one.join().unwrap(), other.join().unwrap()];
    // A thread that missed the pool finds the records later.
    taken.extend([(); 2].map(|()| pipeline.take_spare(MAIN)));
    taken.extend([(); 2].map(|()| pipeline.take_spare(OTHER)));
    let mut taken: Vec<_> = taken.into_iter().flatten().collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
}

/// Two threads shut the recorder down.
pub fn two_shutdowns_both_wait_for_the_export() {
    let pipeline = pipeline(2);
    pipeline.push(MAIN, 1);
    let thread = spawn(&pipeline, u64::MAX);
    let shuts_down = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || {
            // Either it waits, or the other one has finished.
            let _ = pipeline.shutdown(LONG);
            assert_eq!(pipeline.counters().read().exported, 1);
        })
    };
    let _ = pipeline.shutdown(LONG);
    assert_eq!(pipeline.counters().read().exported, 1);
    shuts_down.join().unwrap();
    thread.join().unwrap();
}

/// A handler changes and ends a span while its owner ends it.
pub fn a_change_during_the_end_is_exported_or_has_no_effect() {
    let limits = SpanLimits::default();
    let changes = Arc::new(ContextChanges::new(limits));
    changes.change(|extras, limits| extras.attribute(KeyValue::new("before", 1), limits));
    let handler = {
        let changes = Arc::clone(&changes);
        thread::spawn(move || {
            changes.change(|extras, limits| extras.attribute(KeyValue::new("during", 2), limits));
            changes.end_early(SystemTime::UNIX_EPOCH);
        })
    };
    let extras = changes.end().unwrap();
    let count = extras.attributes.len();
    assert!((1..=2).contains(&count));
    handler.join().unwrap();
    changes.change(|extras, limits| extras.attribute(KeyValue::new("after", 3), limits));
    assert!(changes.has_ended());
}

/// Two threads exit a span, one earlier than the other.
pub fn the_end_of_a_span_is_the_latest_exit_on_any_thread() {
    let changes = Arc::new(ContextChanges::new(SpanLimits::default()));
    let exits = |after| {
        let changes = Arc::clone(&changes);
        thread::spawn(move || changes.set_last_exit(after))
    };
    let (early, late) = (Duration::from_nanos(1), Duration::from_nanos(2));
    let (one, other) = (exits(early), exits(late));
    one.join().unwrap();
    other.join().unwrap();
    assert_eq!(changes.last_exit(), Some(late));
}

/// A thread exits a span and changes it through its context, while the span ends and its record is reused.
pub fn an_exit_and_a_change_during_the_end_do_not_reach_the_next_span() {
    let mut changes = Arc::new(ContextChanges::new(SpanLimits::default()));
    let entered = {
        let changes = Arc::clone(&changes);
        thread::spawn(move || {
            changes.set_last_exit(Duration::from_nanos(1));
            let attribute = KeyValue::new("during", 1);
            changes.change(|extras, limits| extras.attribute(attribute, limits));
            changes.end_early(SystemTime::UNIX_EPOCH);
        })
    };
    let last_exit = changes.last_exit();
    assert!(last_exit.is_none_or(|exit| exit == Duration::from_nanos(1)));
    drop(changes.end());
    ContextChanges::renew(&mut changes);
    // The next span.
    assert_eq!(changes.last_exit(), None);
    assert!(!changes.has_ended());
    entered.join().unwrap();
    assert_eq!(changes.last_exit(), None);
    assert!(!changes.has_ended() && changes.end().is_none());
}
