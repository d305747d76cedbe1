//! Counts of spans by their result.

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers of spans of a [`Recorder`](crate::Recorder), by result. Returned by
/// [`Recorder::counts`](crate::Recorder::counts).
///
/// An ended span is in exactly one of `queued`, `exporting`, `exported`, `failed`, `rejected` and `dropped`. The number of
/// open spans is `started` minus these. Other threads start and end spans while the counts are read, so such a difference
/// can be inexact by the number of those spans.
///
/// Unsampled spans are not counted, except those of [kept](crate::RecorderBuilder::keep) traces: they are counted from the
/// end of their local root on.
///
/// This function returns the number of lost spans:
///
/// ```
/// use tower_otel_recorder::SpanCounts;
///
/// fn lost(counts: SpanCounts) -> u64 {
///     counts.failed + counts.rejected + counts.dropped
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanCounts {
    /// Spans that were started.
    pub started: u64,
    /// Spans that currently wait for export.
    pub queued: u64,
    /// Spans that the exporter currently exports.
    pub exporting: u64,
    /// Spans that the exporter exported with success.
    pub exported: u64,
    /// Spans whose export returned an error, panicked, or had not finished when a
    /// [shutdown](crate::Recorder::shutdown) timed out.
    pub failed: u64,
    /// Spans of accepted batches that the collector rejected
    /// ([`partial_success`](https://opentelemetry.io/docs/specs/otlp/#partial-success) of OTLP).
    pub rejected: u64,
    /// Spans that never reached the exporter: `queue_full`, `queue_bytes_full`, spans that ended after a
    /// [shutdown](crate::Recorder::shutdown), and spans in the queue when a shutdown timed out. Only a full queue is logged.
    pub dropped: u64,
    /// Spans that were dropped because [`queue_size`](crate::RecorderBuilder::queue_size) spans were waiting.
    pub queue_full: u64,
    /// Spans that were dropped because the waiting spans would have exceeded
    /// [`queue_bytes`](crate::RecorderBuilder::queue_bytes).
    pub queue_bytes_full: u64,
    /// Unsampled spans that could not be [held](crate::RecorderBuilder::keep), because the held spans of their trace or of
    /// all traces had reached their limit in bytes. They are in no other count.
    pub not_held: u64,
    /// Unsampled spans of traces over the [limit](crate::Keep::per_second) of kept traces per second. They are in no other
    /// count.
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

    /// Counts a span that was dropped because the waiting spans had too many bytes.
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
