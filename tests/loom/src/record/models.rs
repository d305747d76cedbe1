//! A thread that takes spans out of the queue, and others that put them in. Its delay never ends.

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

/// What the thread of a recorder does, without an exporter, until it is told to stop or has taken so
/// many.
fn serve(queue: &Queue, most: u64) {
    queue.served_by(thread::current());
    let (mut done, mut taken) = (0, 0);
    while taken < most {
        let turn = queue.wait(Instant::now() + LONG, done);
        for _ in 0..queue.len() {
            taken += u64::from(queue.pop().is_some());
        }
        queue.counts.exported.store(taken, Relaxed);
        done = turn.flushes;
        queue.done(done, None);
        if turn.shutdown.is_some() {
            break;
        }
    }
    queue.gone();
}

fn started(queue: &Arc<Queue>, most: u64) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || serve(&queue, most))
}

/// Whoever flushes waits, however little the thread has to do.
pub fn a_flush_exports_what_was_there_and_wakes_who_asked() {
    let queue = queue(2);
    let thread = started(&queue, u64::MAX);
    queue.push(Box::new(Entry));
    queue.flush(LONG).unwrap();
    assert_eq!(queue.counts.exported.load(Relaxed), 1);
    queue.shutdown(LONG).unwrap();
    thread.join().unwrap();
}

/// One span ends while the recorder is shut down.
pub fn a_span_that_ends_at_the_shutdown_is_exported_or_counted() {
    let queue = queue(2);
    let thread = started(&queue, u64::MAX);
    let pushes = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.push(Box::new(Entry)))
    };
    queue.shutdown(LONG).unwrap();
    pushes.join().unwrap();
    thread.join().unwrap();
    let counts = &queue.counts;
    let known = counts.exported.load(Relaxed) + counts.dropped.load(Relaxed) + queue.abandoned();
    assert_eq!(known, 1);
}

/// Two threads end spans, and a batch is one.
pub fn a_full_batch_is_not_left_to_the_delay() {
    let queue = queue(1);
    let thread = started(&queue, 2);
    let pushes = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.push(Box::new(Entry)))
    };
    queue.push(Box::new(Entry));
    pushes.join().unwrap();
    thread.join().unwrap();
    assert_eq!(queue.counts.exported.load(Relaxed), 2);
}
