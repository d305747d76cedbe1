//! Models of the recorder: a thread that exports spans, and other threads that end them. The batch delay is infinite.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use loom::thread;
use opentelemetry::KeyValue;

use crate::{
    amount::Amount,
    changes::ContextChanges,
    control::ExportThread,
    counts::ExportCounts,
    limits::Limits,
    pipeline::Pipeline,
    sync::{current_thread, park_timeout},
};

const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// The indices of the threads. The first block has a place for each of them.
const MAIN: usize = 0;
const OTHER: usize = 1;

/// The size of a span in bytes.
const BYTES: usize = 10;

type Spans = Arc<Pipeline<u8>>;

/// Returns a pipeline whose queue has places for two spans.
fn pipeline(batch: usize) -> Spans {
    let amount = |spans| Amount {
        spans,
        bytes: spans * BYTES,
    };
    Arc::new(Pipeline::new(amount(2), amount(batch)))
}

/// Returns a pipeline whose queue has places for many spans and bytes for one.
fn pipeline_of_bytes() -> Spans {
    let size = Amount {
        spans: 100,
        bytes: BYTES,
    };
    Arc::new(Pipeline::new(size, size))
}

/// Runs the loop of the export thread without an exporter, until a shutdown or until `until` spans are exported.
fn export(pipeline: &Pipeline<u8>, until: u64) {
    pipeline.set_thread(ExportThread::Parked(current_thread()));
    let mut done = 0;
    while pipeline.counts().exported < until {
        let turn = pipeline.next_turn(Instant::now() + LONG, done, park_timeout);
        let mut backlog = Vec::new();
        pipeline.drain(&mut backlog);
        if !backlog.is_empty()
            && pipeline.begin_export(Amount {
                spans: backlog.len(),
                bytes: backlog.len() * BYTES,
            })
        {
            pipeline.end_export(ExportCounts {
                exported: backlog.len(),
                ..ExportCounts::default()
            });
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
    let counts = pipeline.counts();
    counts.exported + counts.failed + counts.dropped
}

/// A flush wakes the export thread in any of its states.
pub fn a_flush_exports_queued_spans_and_wakes_the_caller() {
    let pipeline = pipeline(2);
    let thread = spawn(&pipeline, u64::MAX);
    pipeline.push(MAIN, 1, BYTES);
    pipeline.flush(LONG).unwrap();
    assert_eq!(pipeline.counts().exported, 1);
    pipeline.shutdown(LONG).unwrap();
    thread.join().unwrap();
}

/// A span ends on another thread during the shutdown.
pub fn a_span_that_ends_during_the_shutdown_is_exported_or_counted() {
    let pipeline = pipeline(2);
    let thread = spawn(&pipeline, u64::MAX);
    let pushes = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.push(OTHER, 1, BYTES))
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
        thread::spawn(move || pipeline.push(7, 1, BYTES))
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
        thread::spawn(move || pipeline.push(OTHER, 1, BYTES))
    };
    pipeline.push(MAIN, 2, BYTES);
    pushes.join().unwrap();
    thread.join().unwrap();
    assert_eq!(pipeline.counts().exported, 2);
}

/// Two threads end a span each, and the queue has bytes for one. The export thread empties the queue at the same time.
pub fn the_bytes_of_the_queue_hold_for_two_threads() {
    let pipeline = pipeline_of_bytes();
    let pushes = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.push(OTHER, 1, BYTES))
    };
    pipeline.push(MAIN, 2, BYTES);
    let mut backlog = Vec::new();
    pipeline.drain(&mut backlog);
    // Drained spans use their bytes until their export begins.
    assert!(backlog.len() <= 1);
    pushes.join().unwrap();
    pipeline.drain(&mut backlog);
    assert_eq!(backlog.len(), 1);
    assert_eq!(pipeline.counts().queue_bytes_full, 1);
    assert!(pipeline.begin_export(Amount {
        spans: 1,
        bytes: BYTES,
    }));
    pipeline.end_export(ExportCounts {
        exported: 1,
        ..ExportCounts::default()
    });
    // All bytes are free again.
    pipeline.push(OTHER, 3, BYTES);
    assert_eq!(pipeline.counts().queue_bytes_full, 1);
}

/// A thread has reserved more bytes than it uses while the export thread empties the queue.
pub fn bytes_that_a_thread_has_not_used_are_free_after_the_queue_is_emptied() {
    let size = Amount {
        spans: 256,
        bytes: 512,
    };
    let pipeline = Arc::new(Pipeline::new(size, size));
    // The first span of a thread reserves more than its byte.
    let pushes = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.push(OTHER, 1, 1))
    };
    let mut backlog = Vec::new();
    pipeline.drain(&mut backlog);
    pushes.join().unwrap();
    pipeline.drain(&mut backlog);
    assert_eq!(backlog.len(), 1);
    pipeline.push(MAIN, 2, 511);
    let counts = pipeline.counts();
    assert_eq!((counts.queue_bytes_full, counts.queued), (0, 2));
}

/// Two threads take records while the export thread returns two to an empty pool.
pub fn a_pooled_record_is_taken_once() {
    let pipeline = pipeline(2);
    let take = |thread| {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || pipeline.take_spare(thread, true))
    };
    let (one, other) = (take(MAIN), take(OTHER));
    pipeline.give_back(&mut vec![1, 2]);
    let mut taken = vec![one.join().unwrap(), other.join().unwrap()];
    // A thread that missed the pool finds the records later.
    taken.extend([(); 2].map(|()| pipeline.take_spare(MAIN, true)));
    taken.extend([(); 2].map(|()| pipeline.take_spare(OTHER, true)));
    let mut taken: Vec<_> = taken.into_iter().flatten().collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
}

/// Two threads shut the recorder down.
pub fn two_shutdowns_both_wait_for_the_export() {
    let pipeline = pipeline(2);
    pipeline.push(MAIN, 1, BYTES);
    let thread = spawn(&pipeline, u64::MAX);
    let shuts_down = {
        let pipeline = Arc::clone(&pipeline);
        thread::spawn(move || {
            // The call waits, unless the other shutdown has finished.
            let _ = pipeline.shutdown(LONG);
            assert_eq!(pipeline.counts().exported, 1);
        })
    };
    let _ = pipeline.shutdown(LONG);
    assert_eq!(pipeline.counts().exported, 1);
    shuts_down.join().unwrap();
    thread.join().unwrap();
}

/// A handler changes and ends a span while its owner ends it.
pub fn a_change_during_the_end_is_exported_or_has_no_effect() {
    let limits = Limits::default();
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

/// A thread changes a span through its context, while the span ends and its record is reused.
pub fn a_change_during_the_end_does_not_reach_the_next_span() {
    let mut changes = Arc::new(ContextChanges::new(Limits::default()));
    let handler = {
        let changes = Arc::clone(&changes);
        thread::spawn(move || {
            let attribute = KeyValue::new("during", 1);
            changes.change(|extras, limits| extras.attribute(attribute, limits));
            changes.end_early(SystemTime::UNIX_EPOCH);
        })
    };
    drop(changes.end());
    ContextChanges::renew(&mut changes);
    // The next span.
    assert!(!changes.has_ended());
    handler.join().unwrap();
    assert!(!changes.has_ended() && changes.end().is_none());
}
