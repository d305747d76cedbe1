//! Moves ended spans from their threads to the exporter, and counts every result.

use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::{
    amount::Amount,
    control::{Control, ExportThread},
    counts::{Counters, ExportCounts, SpanCounts},
    progress::{Abandoned, Requested, Turn},
    queue::{Queue, Rejected},
};

/// The queue, the requests to the export thread, and the counts.
#[derive(Debug)]
pub(crate) struct Pipeline<T> {
    queue: Queue<T>,
    control: Control,
    counters: Counters,
}

impl<T> Pipeline<T> {
    /// All sizes must be at least 1.
    pub(crate) fn new(size: Amount, batch: Amount) -> Self {
        Self {
            queue: Queue::new(size, batch),
            control: Control::new(),
            counters: Counters::default(),
        }
    }

    pub(crate) const fn batch(&self) -> Amount {
        self.queue.batch()
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns all counts. Briefly locks the buffer of each thread. In a fork, where these locks may be held forever,
    /// returns only the counts of spans that have left the queue.
    pub(crate) fn counts(&self) -> SpanCounts {
        if !self.control.has_thread() {
            return self.counters.read();
        }
        self.control.in_hands(|backlog, exporting| {
            let mut counts = self.counters.read();
            let (started, queued) = self.queue.started_and_queued();
            counts.queued = count(backlog) + queued;
            counts.exporting = count(exporting);
            counts.started = started;
            counts
        })
    }

    /// Changes the number of started spans.
    pub(crate) fn correct_started(&self, thread: usize, by: i64) {
        self.queue.correct_started(thread, by);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Queues an ended span with this many bytes. Counts and returns it if the queue is full or closed.
    #[inline(always)]
    pub(crate) fn push(&self, thread: usize, span: T, bytes: usize) -> Option<T> {
        match self.queue.push(thread, span, bytes) {
            Ok(false) => None,
            Ok(true) => {
                self.control.wake();
                None
            }
            Err(rejected) => Some(self.reject(rejected)),
        }
    }

    /// Counts a rejected span. The export thread logs the loss, because this thread may hold locks of a subscriber.
    #[cold]
    fn reject(&self, rejected: Rejected<T>) -> T {
        let span = match rejected {
            Rejected::Full(span) => {
                self.counters.queue_full();
                span
            }
            Rejected::TooLarge(span) => {
                self.counters.queue_bytes_full();
                span
            }
            Rejected::Closed(span) => {
                self.counters.dropped_closed(1);
                return span;
            }
        };
        // A full queue may have fewer spans than a batch.
        self.control.wake();
        span
    }

    /// Returns a record from the pool, if there is one. Counts the start of a span if `starts`.
    #[inline]
    pub(crate) fn take_spare(&self, thread: usize, starts: bool) -> Option<T> {
        self.queue.take_spare(thread, starts)
    }

    /// Returns a record that was not queued to the pool.
    pub(crate) fn put_spare(&self, thread: usize, record: T) {
        self.queue.put_spare(thread, record);
    }

    /// Returns records that were not queued to the pool.
    pub(crate) fn put_spares(&self, thread: usize, records: impl IntoIterator<Item = T>) {
        self.queue.put_spares(thread, records);
    }

    /// Returns records to the pool.
    pub(crate) fn give_back(&self, records: &mut Vec<T>) {
        self.queue.give_back(records);
    }

    /// Sets the export thread. Called by that thread before anything else.
    pub(crate) fn set_thread(&self, thread: ExportThread) {
        self.control.set_thread(thread);
    }

    /// Wakes the export thread.
    pub(crate) fn wake(&self) {
        self.control.wake();
    }

    /// Waits with `park` until the next turn.
    pub(crate) fn next_turn(&self, until: Instant, done: u64, park: impl Fn(Duration)) -> Turn {
        self.control.next_turn(until, done, park)
    }

    /// Moves all queued spans to `backlog`.
    pub(crate) fn drain(&self, backlog: &mut Vec<T>) {
        self.drain_behind(0, backlog);
    }

    /// Moves all queued spans to `drained`. They are exported after `others` other spans.
    pub(crate) fn drain_behind(&self, others: usize, drained: &mut Vec<T>) {
        let before = drained.len();
        let drain = || {
            self.queue.drain(drained);
            others + drained.len()
        };
        if !self.control.set_backlog(drain) {
            // Spans that were drained before are already counted.
            let new = drained.len().saturating_sub(before);
            self.counters.dropped_closed(count(new));
            // The queue is closed, so their places are not needed.
            drained.clear();
        }
    }

    /// Begins the export of a batch of the backlog. Returns `false` if the recorder is abandoned.
    pub(crate) fn begin_export(&self, batch: Amount) -> bool {
        self.queue.release(batch);
        self.control.begin_export(batch.spans)
    }

    /// Counts the result of a batch.
    pub(crate) fn end_export(&self, spans: ExportCounts) {
        self.control.end_export(|| self.counters.batch(spans));
    }

    /// Returns the flush and the shutdown that are not finished.
    pub(crate) fn requested(&self) -> Requested {
        self.control.requested()
    }

    /// Ends a turn, with the last failure of an export if there was one.
    pub(crate) fn end_turn(&self, flushes: u64, failure: Option<String>) {
        self.control.end_turn(flushes, failure);
    }

    /// Closes the queue and counts the remaining spans. Called when the export thread ends, for any reason.
    pub(crate) fn end_thread(&self) {
        self.queue.close();
        self.abandon(self.control.end_thread());
        self.queue.clear_spare();
    }

    /// Exports all queued spans and waits for it.
    pub(crate) fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.control.flush(timeout)
    }

    /// Closes the queue, exports all queued spans and waits for the end of the export thread. After a timeout, counts the
    /// remaining spans.
    pub(crate) fn shutdown(&self, timeout: Duration) -> OTelSdkResult {
        let (result, abandoned) = self.control.shutdown(timeout, || self.queue.close());
        if let Some(abandoned) = abandoned {
            self.abandon(abandoned);
        }
        result
    }

    /// Returns whether a shutdown was requested, or this process has no export thread.
    pub(crate) fn shutdown_is_requested(&self) -> bool {
        self.control.shutdown_is_requested()
    }

    fn abandon(&self, abandoned: Abandoned) {
        let mut queued = Vec::new();
        self.queue.drain(&mut queued);
        self.counters
            .dropped_closed(count(abandoned.backlog) + count(queued.len()));
        self.counters.failed(count(abandoned.exporting));
    }
}

fn count(spans: usize) -> u64 {
    u64::try_from(spans).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn pipeline(spans: usize) -> Pipeline<u8> {
        let size = Amount { spans, bytes: 100 };
        Pipeline::new(size, size)
    }

    /// Shuts down from two threads, and ends the turn once both wait.
    fn two_shutdowns(failure: Option<&str>) -> [OTelSdkResult; 2] {
        let pipeline = pipeline(8);
        pipeline.push(0, 7, 1);
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| pipeline.shutdown(LONG)));
            while pipeline.control.waiting_shutdowns() < 2 {
                std::thread::yield_now();
            }
            let turn = pipeline.next_turn(Instant::now() + LONG, 0, std::thread::park_timeout);
            let mut backlog = Vec::new();
            pipeline.drain(&mut backlog);
            assert_eq!((backlog, turn.shutdown), (vec![7], Some(LONG)));
            assert!(threads.iter().all(|thread| !thread.is_finished()));
            pipeline.end_turn(turn.flushes, failure.map(str::to_owned));
            threads.map(|thread| thread.join().unwrap())
        })
    }

    #[test]
    fn a_fork_does_not_wait_for_the_thread_of_its_parent() {
        let pipeline = Pipeline {
            control: Control::of_process(u32::MAX),
            ..pipeline(8)
        };
        // Dropping does not wait, either.
        assert!(pipeline.shutdown_is_requested());
        // The export thread of the parent may have had the lock.
        pipeline.control.with_lock(|| {
            assert_eq!(pipeline.counts(), SpanCounts::default());
            for result in [
                pipeline.flush(Duration::MAX),
                pipeline.shutdown(Duration::MAX),
            ] {
                let error = result.unwrap_err().to_string();
                assert!(error.contains("exports nothing in its fork"), "{error}");
            }
        });
    }

    #[test]
    fn two_shutdowns_at_once_both_succeed() {
        assert!(two_shutdowns(None).iter().all(Result::is_ok));
    }

    #[test]
    fn two_shutdowns_at_once_both_return_the_failure() {
        for result in two_shutdowns(Some("no connection")) {
            let is_failure = matches!(&result, Err(OTelSdkError::InternalFailure(text)) if text == "no connection");
            assert!(is_failure, "{result:?}");
        }
    }

    #[test]
    fn a_flush_and_a_second_shutdown_fail_if_a_shutdown_has_dropped_their_spans() {
        let pipeline = pipeline(8);
        pipeline.push(0, 7, 1);
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| pipeline.flush(LONG));
            let park = |_| std::thread::yield_now();
            pipeline.next_turn(Instant::now() + LONG, 0, park);
            let mut backlog = Vec::new();
            pipeline.drain(&mut backlog);
            let timed_out = pipeline.shutdown(Duration::ZERO);
            assert!(matches!(timed_out, Err(OTelSdkError::Timeout(_))));
            assert_eq!(pipeline.counts().dropped, 1);
            let shutdown = scope.spawn(|| pipeline.shutdown(LONG));
            while pipeline.control.waiting_shutdowns() < 1 {
                std::thread::yield_now();
            }
            pipeline.end_turn(2, None);
            for thread in [flush, shutdown] {
                let result = thread.join().unwrap();
                let is_failure = matches!(result, Err(OTelSdkError::InternalFailure(_)));
                assert!(is_failure, "{result:?}");
            }
        });
    }

    #[test]
    fn a_span_that_does_not_fit_wakes_the_export_thread() {
        for bytes in [1, 90] {
            let size = Amount {
                spans: 2,
                bytes: 100,
            };
            let batch = Amount {
                spans: 9,
                bytes: 100,
            };
            let pipeline = Pipeline::new(size, batch);
            pipeline.push(0, 7, 80);
            pipeline.push(0, 8, bytes);
            pipeline.next_turn(Instant::now(), 0, std::thread::park_timeout);
            pipeline.push(0, 9, 90);
            let is_parked = std::cell::Cell::new(false);
            let park = |_| is_parked.set(true);
            pipeline.next_turn(Instant::now() + Duration::from_millis(50), 0, park);
            assert!(!is_parked.get(), "{bytes}");
        }
    }

    #[test]
    fn a_span_is_in_exactly_one_count_while_the_export_thread_moves_it() {
        const SPANS: u64 = if cfg!(miri) { 20 } else { 2_000 };
        let pipeline = pipeline(100);
        let is_done = std::sync::atomic::AtomicBool::new(false);
        let is_done = &is_done;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut backlog = Vec::new();
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    pipeline.drain(&mut backlog);
                    for _ in backlog.drain(..) {
                        assert!(pipeline.begin_export(Amount { spans: 1, bytes: 1 }));
                        let spans = ExportCounts {
                            exported: 1,
                            ..ExportCounts::default()
                        };
                        pipeline.end_export(spans);
                    }
                }
            });
            let sums: Vec<_> = (0..SPANS)
                .map(|_| {
                    pipeline.push(0, 7, 1);
                    let counts = pipeline.counts();
                    counts.queued + counts.exporting + counts.exported + counts.dropped
                })
                .collect();
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(sums.into_iter().eq(1..=SPANS));
        });
    }

    #[test]
    fn a_shutdown_after_a_finished_one_is_an_error() {
        let pipeline = pipeline(8);
        pipeline.end_thread();
        let result = pipeline.shutdown(LONG);
        assert!(matches!(result, Err(OTelSdkError::AlreadyShutdown)));
    }

    #[test]
    fn spans_in_the_hands_of_a_thread_that_dies_are_counted() {
        let pipeline = pipeline(8);
        for span in 0..5 {
            pipeline.push(0, span, 1);
        }
        let mut backlog = Vec::new();
        pipeline.drain(&mut backlog);
        assert!(pipeline.begin_export(Amount { spans: 2, bytes: 2 }));
        pipeline.push(0, 5, 1);
        pipeline.end_thread();
        pipeline.push(0, 6, 1);
        let counts = pipeline.counts();
        assert_eq!((counts.exported, counts.failed, counts.dropped), (0, 2, 5));
    }

    #[test]
    fn spans_of_a_full_queue_and_of_a_closed_one_are_counted_apart() {
        let pipeline = pipeline(1);
        let counters = pipeline.counters();
        for span in 0..3 {
            let rejected = pipeline.push(0, span, 1);
            assert_eq!(rejected, (span > 0).then_some(span));
        }
        assert_eq!((counters.full(), pipeline.counts().dropped), (2, 2));
        pipeline.end_thread();
        pipeline.push(0, 3, 1);
        // The span in the queue is also counted.
        assert_eq!((counters.full(), pipeline.counts().dropped), (2, 4));
    }
}
