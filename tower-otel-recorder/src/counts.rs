//! Counts of exported, failed and dropped spans.

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The number of spans of a [`Recorder`](crate::Recorder) that were exported, rejected, failed to export, and were dropped.
///
/// A span that has ended is counted once. A span that is in none of the counts is not ended or waits for its export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanCounts {
    /// Spans that the exporter has accepted.
    pub exported: u64,
    /// Spans of accepted batches that the collector has rejected, over OTLP (`partial_success`).
    pub rejected: u64,
    /// Spans that were given to the exporter, which returned an error or panicked, or had not returned when a
    /// [shutdown](crate::Recorder::shutdown) ran out of time.
    pub failed: u64,
    /// Spans that were not given to the exporter: the queue was full, or the recorder was shut down. Both are
    /// counted here; only a full queue is logged.
    pub dropped: u64,
}

/// The spans of a batch, by what has become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportCounts {
    pub(crate) exported: usize,
    pub(crate) rejected: usize,
    pub(crate) failed: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    exported: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    dropped_full: AtomicU64,
    dropped_closed: AtomicU64,
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

    /// Counts spans that were dropped because the queue was full.
    pub(crate) fn dropped_full(&self, spans: u64) {
        self.dropped_full.fetch_add(spans, Relaxed);
    }

    /// Counts spans that were dropped because the recorder was shut down or its thread has ended.
    pub(crate) fn dropped_closed(&self, spans: u64) {
        self.dropped_closed.fetch_add(spans, Relaxed);
    }

    /// Returns the number of spans that were dropped because the queue was full.
    pub(crate) fn full(&self) -> u64 {
        self.dropped_full.load(Relaxed)
    }

    pub(crate) fn read(&self) -> SpanCounts {
        SpanCounts {
            exported: self.exported.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.full() + self.dropped_closed.load(Relaxed),
        }
    }
}
