//! The number of dropped spans or log records.

/// The numbers of spans or log records that were recorded and not delivered, by reason, since the start of telemetry.
///
/// The crate documentation lists the [metric of each reason](crate#when-the-collector-fails).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DropCounts {
    /// The queue was full.
    pub queue_full: u64,
    /// The export failed: the collector was unreachable, too slow, or returned an error.
    pub export_failed: u64,
    /// The collector accepted the batch without these items
    /// ([`partial_success`](https://opentelemetry.io/docs/specs/otlp/#partial-success)).
    pub rejected: u64,
    /// The items were not delivered when the shutdown timed out, or were recorded after the shutdown. Log records of destructors
    /// that run at the exit of their thread can also be counted here.
    pub shutdown: u64,
}

impl DropCounts {
    /// Returns the sum over all reasons.
    #[must_use]
    pub fn total(self) -> u64 {
        self.queue_full + self.export_failed + self.rejected + self.shutdown
    }

    /// Returns each count with its reason.
    pub(crate) fn text(self) -> String {
        let Self {
            queue_full,
            export_failed,
            rejected,
            shutdown,
        } = self;
        format!(
            "queue_full: {queue_full}, export_failed: {export_failed}, rejected: {rejected}, \
             shutdown: {shutdown}"
        )
    }
}
