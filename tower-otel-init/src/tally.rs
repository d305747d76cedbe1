//! What has become of every span.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

/// Counts spans from their end to their delivery. A span that was accepted and is neither delivered
/// nor failed is on its way; once closed, nothing is on its way any more, so it is lost.
#[derive(Debug)]
pub(crate) struct Tally {
    room: usize,
    queued: AtomicUsize,
    accepted: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
    closed: AtomicBool,
}

/// Spans that were recorded and did not arrive, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The queue was full.
    pub queue_full: u64,
    /// The collector could not be reached, was too slow, or said no.
    pub export_failed: u64,
    /// They had not been delivered when time was up at shutdown, or ended after it.
    pub shutdown: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.queue_full + self.export_failed + self.shutdown
    }

    /// With the word for each reason.
    pub(crate) fn reasons(self) -> [(&'static str, u64); 3] {
        [
            ("queue_full", self.queue_full),
            ("export_failed", self.export_failed),
            ("shutdown", self.shutdown),
        ]
    }
}

impl Tally {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room,
            queued: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
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

    pub(crate) fn exported(&self, count: usize, arrived: bool) {
        let counter = if arrived {
            &self.delivered
        } else {
            &self.failed
        };
        counter.fetch_add(count as u64, SeqCst);
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn dropped(&self) -> Dropped {
        let settled = self.delivered.load(SeqCst) + self.failed.load(SeqCst);
        let on_the_way = self.accepted.load(SeqCst).saturating_sub(settled);
        let lost = if self.closed.load(SeqCst) {
            on_the_way
        } else {
            0
        };
        Dropped {
            queue_full: self.refused(),
            export_failed: self.failed.load(SeqCst),
            shutdown: lost + self.late.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_delivered_or_dropped_for_one_reason() {
        let tally = Tally::new(4);
        let accepted = (0..6).filter(|_| tally.accept()).count();
        assert_eq!(accepted, 4);
        tally.taken(2);
        tally.exported(1, true);
        tally.exported(1, false);
        assert!(tally.accept());
        let while_open = Dropped {
            queue_full: 2,
            export_failed: 1,
            shutdown: 0,
        };
        assert_eq!(tally.dropped(), while_open);
        tally.close();
        assert!(!tally.accept());
        // Three were still queued, and one came late.
        assert_eq!(tally.dropped().shutdown, 4);
        assert_eq!(tally.dropped().total() + 1, 6 + 1 + 1);
    }
}
