//! What has become of every span, and of every log record.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

/// Counts spans, or log records, from their end to their delivery. One that was accepted and is
/// neither delivered nor failed is on its way; once closed, nothing is on its way any more, so it is
/// lost.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The counter it is published as.
    pub(crate) metric: &'static str,
    room: usize,
    queued: AtomicUsize,
    accepted: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
    closed: AtomicBool,
}

/// Spans or log records that were recorded and did not arrive, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The queue was full.
    pub queue_full: u64,
    /// The collector could not be reached, was too slow, or said no.
    pub export_failed: u64,
    /// The collector took the batch without them (`partial_success`).
    pub rejected: u64,
    /// They had not been delivered when time was up at shutdown, or ended after it.
    pub shutdown: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.queue_full + self.export_failed + self.rejected + self.shutdown
    }

    /// With the word for each reason.
    pub(crate) fn reasons(self) -> [(&'static str, u64); 4] {
        [
            ("queue_full", self.queue_full),
            ("export_failed", self.export_failed),
            ("rejected", self.rejected),
            ("shutdown", self.shutdown),
        ]
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            queue_full,
            export_failed,
            rejected,
            shutdown,
        } = self;
        write!(
            f,
            "{queue_full} did not fit the queue, {export_failed} could not be sent, {rejected} \
             were rejected, {shutdown} were left at the end"
        )
    }
}

impl Tally {
    pub(crate) fn new(metric: &'static str, room: usize) -> Self {
        Self {
            metric,
            room,
            queued: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            late: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether there is room for one more, which is then taken. The queue behind has as much room,
    /// and gives it back before it is given back here, so it never refuses what was accepted.
    pub(crate) fn accept(&self) -> bool {
        if self.closed.load(SeqCst) {
            self.late.fetch_add(1, Relaxed);
            return false;
        }
        if self.queued.fetch_add(1, SeqCst) >= self.room {
            self.queued.fetch_sub(1, SeqCst);
            self.refused.fetch_add(1, Relaxed);
            return false;
        }
        self.accepted.fetch_add(1, SeqCst);
        true
    }

    /// So many have left the queue.
    pub(crate) fn taken(&self, count: usize) {
        self.queued.fetch_sub(count, SeqCst);
    }

    /// An export of so many is over, and so many of them were rejected.
    pub(crate) fn exported(&self, count: usize, result: &OTelSdkResult, rejected: u64) {
        let count = count as u64;
        if result.is_err() {
            self.failed.fetch_add(count, SeqCst);
            return;
        }
        let rejected = rejected.min(count);
        self.rejected.fetch_add(rejected, SeqCst);
        self.delivered.fetch_add(count - rejected, SeqCst);
    }

    /// What failed while this ran.
    pub(crate) fn flush(&self, flush: impl FnOnce() -> OTelSdkResult) -> OTelSdkResult {
        let before = self.failed.load(SeqCst);
        flush()?;
        match self.failed.load(SeqCst) - before {
            0 => Ok(()),
            lost => Err(OTelSdkError::InternalFailure(format!(
                "{lost} could not be sent"
            ))),
        }
    }

    /// The counter, for a recorder of the `metrics` facade.
    pub(crate) fn publish(&self) {
        for (reason, count) in self.dropped().reasons() {
            metrics::counter!(self.metric, "reason" => reason).absolute(count);
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn dropped(&self) -> Dropped {
        let (failed, rejected) = (self.failed.load(SeqCst), self.rejected.load(SeqCst));
        let settled = self.delivered.load(SeqCst) + failed + rejected;
        let on_the_way = self.accepted.load(SeqCst).saturating_sub(settled);
        let lost = if self.closed.load(SeqCst) {
            on_the_way
        } else {
            0
        };
        Dropped {
            queue_full: self.refused(),
            export_failed: failed,
            rejected,
            shutdown: lost + self.late.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_delivered_or_dropped_for_one_reason() {
        let failure = || Err(OTelSdkError::AlreadyShutdown);
        let tally = Tally::new("dropped", 4);
        let accepted = (0..6).filter(|_| tally.accept()).count();
        assert_eq!(accepted, 4);
        tally.taken(3);
        // One of two was rejected, and no more can have been than there were.
        tally.exported(2, &Ok(()), 1);
        tally.exported(0, &Ok(()), 7);
        let flushed = tally.flush(|| {
            tally.exported(1, &failure(), 0);
            Ok(())
        });
        assert!(flushed.is_err());
        assert!(tally.flush(|| Ok(())).is_ok());
        assert!(tally.accept());
        let while_open = Dropped {
            queue_full: 2,
            export_failed: 1,
            rejected: 1,
            shutdown: 0,
        };
        assert_eq!(tally.dropped(), while_open);
        tally.close();
        assert!(!tally.accept());
        // Two were still queued, and one came late.
        assert_eq!(tally.dropped().shutdown, 3);
        assert_eq!(tally.dropped().total() + 1, 6 + 1 + 1);
    }
}
