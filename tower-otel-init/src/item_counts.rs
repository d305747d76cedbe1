//! The numbers of spans or of log records in each state.

use tower_otel_recorder::SpanCounts;

use crate::drop_counts::DropCounts;

/// The numbers of spans or log records that are queued, being exported, delivered and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemCounts {
    pub(crate) queued: u64,
    pub(crate) exporting: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: DropCounts,
    /// Unsampled spans that were discarded because the memory for held spans was full.
    pub(crate) not_held: u64,
    /// Unsampled spans of traces over the limit of kept traces per second.
    pub(crate) keep_limited: u64,
}

impl ItemCounts {
    /// Returns the counts of a recorder.
    pub(crate) fn of_spans(counts: SpanCounts) -> Self {
        let queue_full = counts.queue_full + counts.queue_bytes_full;
        Self {
            queued: counts.queued,
            exporting: counts.exporting,
            delivered: counts.exported,
            not_held: counts.not_held,
            keep_limited: counts.keep_limited,
            dropped: DropCounts {
                queue_full,
                export_failed: counts.failed,
                rejected: counts.rejected,
                shutdown: counts.dropped.saturating_sub(queue_full),
            },
        }
    }
}
