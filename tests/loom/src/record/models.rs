//! Models of the export queue: one thread exports, others push. The delay never elapses.

use std::{
    sync::Arc,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use loom::thread;
use opentelemetry_sdk::trace::SpanLimits;

use super::{entry::Entry, queue::Queue};

const LONG: Duration = Duration::from_secs(24 * 60 * 60);

fn queue(batch: usize) -> Arc<Queue> {
    Arc::new(Queue::new(2, batch, SpanLimits::default()))
}

/// Runs the loop of the export thread without an exporter, until the shutdown or a number of spans.
fn export_loop(queue: &Queue, limit: u64) {
    queue.served_by(thread::current());
    let (mut done, mut exported) = (0, 0);
    while exported < limit {
        let turn = queue.wait(Instant::now() + LONG, done);
        for _ in 0..queue.len() {
            exported += u64::from(queue.pop().is_some());
        }
        queue.counts.exported.store(exported, Relaxed);
        done = turn.flushes;
        queue.done(done, None);
        if turn.shutdown.is_some() {
            break;
        }
    }
    queue.gone();
}

fn start(queue: &Arc<Queue>, limit: u64) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || export_loop(&queue, limit))
}

/// One span is queued, less than a batch, and the queue is flushed.
pub fn a_flush_exports_all_queued_spans_and_returns() {
    let queue = queue(2);
    let thread = start(&queue, u64::MAX);
    queue.push(Box::new(Entry));
    queue.flush(LONG).unwrap();
    assert_eq!(queue.counts.exported.load(Relaxed), 1);
    queue.shutdown(LONG).unwrap();
    thread.join().unwrap();
}

/// One span ends during the shutdown.
pub fn a_span_that_ends_during_shutdown_is_exported_or_counted() {
    let queue = queue(2);
    let thread = start(&queue, u64::MAX);
    let push = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.push(Box::new(Entry)))
    };
    queue.shutdown(LONG).unwrap();
    push.join().unwrap();
    thread.join().unwrap();
    let counts = &queue.counts;
    let accounted =
        counts.exported.load(Relaxed) + counts.dropped.load(Relaxed) + queue.abandoned();
    assert_eq!(accounted, 1);
}

/// Two threads end a span each, and a batch has one span.
pub fn a_full_batch_is_exported_before_the_delay() {
    let queue = queue(1);
    let thread = start(&queue, 2);
    let push = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.push(Box::new(Entry)))
    };
    queue.push(Box::new(Entry));
    push.join().unwrap();
    thread.join().unwrap();
    assert_eq!(queue.counts.exported.load(Relaxed), 2);
}
