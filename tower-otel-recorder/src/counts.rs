//! Counts of spans by what became of them.

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers of spans by result, of a [`Recorder`](crate::Recorder).
///
/// A span that has ended is in exactly one of `queued`, `exporting`, `exported`, `failed`, `rejected` and `dropped`. The
/// spans that are still open are what is left of `started`. Other threads start and end spans while the counts are read, so
/// such a sum can be off by as many spans as they start and end in the meantime.
///
/// Spans that are not sampled are not counted, unless their trace is [kept](crate::RecorderBuilder::keep): they count from
/// the end of their local root on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanCounts {
    /// Spans that were started.
    pub started: u64,
    /// Spans that wait for their export now.
    pub queued: u64,
    /// Spans that the exporter works on now.
    pub exporting: u64,
    /// Spans that the exporter has accepted.
    pub exported: u64,
    /// Spans that were given to the exporter, which returned an error or panicked, or had not returned when a
    /// [shutdown](crate::Recorder::shutdown) ran out of time.
    pub failed: u64,
    /// Spans of accepted batches that the collector has rejected, over OTLP (`partial_success`).
    pub rejected: u64,
    /// Spans that were not given to the exporter: `queue_full`, `queue_bytes_full`, those that ended after a
    /// [shutdown](crate::Recorder::shutdown), and those that a shutdown that ran out of time left in the queue. Only a full
    /// queue is logged.
    pub dropped: u64,
    /// Spans that were dropped because too [many](crate::RecorderBuilder::queue_size) were waiting.
    pub queue_full: u64,
    /// Spans that were dropped because the waiting ones had too many [bytes](crate::RecorderBuilder::queue_bytes).
    pub queue_bytes_full: u64,
    /// Spans that were not sampled and could not be [held](crate::RecorderBuilder::keep), because the held spans of
    /// their trace or of all traces had too many bytes. They are in no other number.
    pub not_held: u64,
    /// Spans that were not sampled, and of traces over the [limit](crate::Keep::per_second) of traces that are kept. They
    /// are in no other number.
    pub keep_limited: u64,
}

/// The spans of a batch, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportCounts {
    pub(crate) exported: usize,
    pub(crate) rejected: usize,
    pub(crate) failed: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    exported: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    queue_full: AtomicU64,
    queue_bytes_full: AtomicU64,
    dropped_closed: AtomicU64,
    not_held: AtomicU64,
    keep_limited: AtomicU64,
}

impl Counters {
    /// Counts the spans of a batch.
    pub(crate) fn batch(&self, spans: ExportCounts) {
        let count = |spans| u64::try_from(spans).unwrap_or(u64::MAX);
        self.exported.fetch_add(count(spans.exported), Relaxed);
        self.rejected.fetch_add(count(spans.rejected), Relaxed);
        self.failed.fetch_add(count(spans.failed), Relaxed);
    }

    pub(crate) fn failed(&self, spans: u64) {
        self.failed.fetch_add(spans, Relaxed);
    }

    /// Counts a span that was dropped because too many were waiting.
    pub(crate) fn queue_full(&self) {
        self.queue_full.fetch_add(1, Relaxed);
    }

    /// Counts a span that was dropped because the waiting ones had too many bytes.
    pub(crate) fn queue_bytes_full(&self) {
        self.queue_bytes_full.fetch_add(1, Relaxed);
    }

    /// Counts spans that were dropped because the recorder was shut down or its thread has ended.
    pub(crate) fn dropped_closed(&self, spans: u64) {
        self.dropped_closed.fetch_add(spans, Relaxed);
    }

    /// Counts spans that could not be held until the end of their local root.
    pub(crate) fn not_held(&self, spans: u64) {
        self.not_held.fetch_add(spans, Relaxed);
    }

    /// Counts the spans of a trace over the limit of traces that are kept.
    pub(crate) fn keep_limited(&self, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.keep_limited.fetch_add(spans, Relaxed);
    }

    /// Returns the number of spans that were dropped because the queue was full, by number or by bytes.
    pub(crate) fn full(&self) -> u64 {
        self.queue_full.load(Relaxed) + self.queue_bytes_full.load(Relaxed)
    }

    /// Returns the counts of the spans that have left the queue.
    pub(crate) fn read(&self) -> SpanCounts {
        let queue_full = self.queue_full.load(Relaxed);
        let queue_bytes_full = self.queue_bytes_full.load(Relaxed);
        SpanCounts {
            exported: self.exported.load(Relaxed),
            failed: self.failed.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            dropped: queue_full + queue_bytes_full + self.dropped_closed.load(Relaxed),
            queue_full,
            queue_bytes_full,
            not_held: self.not_held.load(Relaxed),
            keep_limited: self.keep_limited.load(Relaxed),
            ..SpanCounts::default()
        }
    }
}
