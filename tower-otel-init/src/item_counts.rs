//! What became of the spans or of the log records.

use tower_otel_recorder::SpanCounts;

use crate::drop_counts::DropCounts;

/// The numbers of delivered and dropped spans or log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemCounts {
    pub(crate) delivered: u64,
    pub(crate) dropped: DropCounts,
}

impl ItemCounts {
    /// Returns the counts of a recorder whose exporter was told of so many rejected spans.
    ///
    /// `dropped_before_shutdown` is the number of dropped spans when the shutdown began, or `None` if it has not begun.
    pub(crate) fn of_spans(
        counts: SpanCounts,
        rejected: u64,
        dropped_before_shutdown: Option<u64>,
    ) -> Self {
        let rejected = rejected.min(counts.exported);
        let queue_full = dropped_before_shutdown.unwrap_or(counts.dropped);
        Self {
            delivered: counts.exported - rejected,
            dropped: DropCounts {
                queue_full,
                export_failed: counts.failed,
                rejected,
                shutdown: counts.dropped.saturating_sub(queue_full),
            },
        }
    }
}
