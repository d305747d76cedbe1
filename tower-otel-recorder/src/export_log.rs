//! The log lines of the export thread, one for each change: exports fail or succeed again, spans are rejected or all accepted
//! again, the queue is full or has room again.

use std::time::{Duration, Instant};

use crate::exporter::Outcome;

/// What was logged last.
#[derive(Debug, Default)]
pub(crate) struct ExportLog {
    drops: QueueDrops,
    health: Health,
}

/// The spans that were dropped because the queue was full.
#[derive(Debug, Default)]
struct QueueDrops {
    /// The number when it was last read.
    count: u64,
    /// The time at which the number last rose. `None` after the log line that the queue has room again.
    since: Option<Instant>,
}

/// The result of the last export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    #[default]
    Good,
    /// The collector has rejected some of the spans.
    Rejecting,
    Failing,
}

impl ExportLog {
    /// Logs when spans start to be dropped because the queue is full, and when none was dropped for the duration of `delay`.
    /// Spans that end after the shutdown are not logged.
    pub(crate) fn drops(&mut self, dropped: u64, delay: Duration) {
        let now = Instant::now();
        if dropped > self.drops.count {
            if self.drops.since.is_none() {
                tracing::warn!(
                    dropped,
                    "the recorder's queue was full: spans were dropped; further drops are counted and not logged until the \
                     queue has room, which is logged"
                );
            }
            self.drops = QueueDrops {
                count: dropped,
                since: Some(now),
            };
        } else if self
            .drops
            .since
            .is_some_and(|since| now.duration_since(since) >= delay)
        {
            self.drops.since = None;
            tracing::warn!(dropped, "the recorder's queue has room again");
        }
    }

    /// Logs when exports start to fail or spans start to be rejected, and when exports succeed again.
    pub(crate) fn result(&mut self, outcome: &Outcome) {
        let health = match outcome.spans {
            spans if spans.failed > 0 => Health::Failing,
            spans if spans.rejected > 0 => Health::Rejecting,
            _ => Health::Good,
        };
        let before = std::mem::replace(&mut self.health, health);
        match (before, health) {
            (before, health) if before == health => {}
            (_, Health::Failing) => {
                let failure = outcome.failure.as_deref().unwrap_or_default();
                tracing::warn!(
                    "the recorder cannot export spans: {failure}; batches are dropped and counted until \
                     an export succeeds, which is logged"
                );
            }
            (_, Health::Rejecting) => {
                let rejected = outcome.spans.rejected;
                let reason = outcome.rejection.as_deref().unwrap_or("no reason given");
                tracing::warn!(
                    rejected,
                    "the collector rejected spans of a batch: {reason}; rejected spans are counted, and \
                     the next batch that it accepts in full is logged"
                );
            }
            (Health::Rejecting, Health::Good) => {
                tracing::warn!("the collector accepts all spans again")
            }
            (_, Health::Good) => tracing::warn!(
                "the recorder exports spans again; the batches that failed in the meantime are lost"
            ),
        }
    }
}
