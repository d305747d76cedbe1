//! What became of the spans or of the log records.

use tower_otel_recorder::SpanCounts;

use crate::drop_counts::DropCounts;

/// The numbers of spans or log records that wait, that are exported, and that were delivered or dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemCounts {
    pub(crate) queued: u64,
    pub(crate) exporting: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: DropCounts,
}

impl ItemCounts {
    /// Returns the counts of a recorder. `rejected` is the number of spans that the collector has rejected from exports
    /// that the recorder counts as successful.
    pub(crate) fn of_spans(counts: SpanCounts, rejected: u64) -> Self {
        let rejected = rejected.min(counts.exported);
        let queue_full = counts.queue_full + counts.queue_bytes_full;
        Self {
            queued: counts.queued,
            exporting: counts.exporting,
            delivered: counts.exported - rejected,
            dropped: DropCounts {
                queue_full,
                export_failed: counts.failed,
                rejected: counts.rejected + rejected,
                shutdown: counts.dropped.saturating_sub(queue_full),
            },
        }
    }
}
