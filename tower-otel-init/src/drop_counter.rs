//! Counts every log record as pending, delivered or dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::drop_counts::DropCounts;
use crate::item_counts::ItemCounts;

/// Limits the queue of a batch processor, and counts each item by its state.
///
/// An accepted item is pending until it is delivered, failed or rejected. After `close`, pending
/// items count as dropped.
#[derive(Debug)]
pub(crate) struct DropCounter {
    capacity: usize,
    queued: AtomicUsize,
    max_bytes: usize,
    /// The bytes of the queued items and of those of the current batch.
    bytes: AtomicUsize,
    accepted: AtomicU64,
    delivered: AtomicU64,
    export_failed: AtomicU64,
    rejected: AtomicU64,
    queue_full: AtomicU64,
    /// The number of items that were recorded after the close, or while their thread exits.
    after_close: AtomicU64,
    closed: AtomicBool,
}

impl DropCounter {
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        Self {
            capacity,
            queued: AtomicUsize::new(0),
            max_bytes,
            bytes: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            export_failed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            after_close: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Counts one more item of this size, and returns whether there is room in the queue.
    ///
    /// The batch processor's queue has the same capacity, and releases an item before this count does. So the batch
    /// processor never drops an accepted item.
    pub(crate) fn accept(&self, bytes: usize) -> bool {
        if self.closed.load(SeqCst) {
            self.after_close.fetch_add(1, Relaxed);
            return false;
        }
        let has_room = self.queued.fetch_add(1, SeqCst) < self.capacity;
        let has_memory = self.bytes.fetch_add(bytes, SeqCst) + bytes <= self.max_bytes;
        if !(has_room && has_memory) {
            self.dequeue(1);
            self.release(bytes);
            self.queue_full.fetch_add(1, Relaxed);
            return false;
        }
        self.accepted.fetch_add(1, SeqCst);
        true
    }

    /// Counts an item that a thread can no longer record, because it exits.
    pub(crate) fn drop_at_exit(&self) {
        self.after_close.fetch_add(1, Relaxed);
    }

    /// Records that a batch of this size has left the queue.
    pub(crate) fn dequeue(&self, count: usize) {
        self.queued.fetch_sub(count, SeqCst);
    }

    /// Records that items of these bytes are no longer in memory.
    pub(crate) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, SeqCst);
    }

    /// Records the result of an export, and the number of rejected items of its batch.
    pub(crate) fn record_export(&self, count: usize, result: &OTelSdkResult, rejected: u64) {
        let count = count as u64;
        if result.is_err() {
            self.export_failed.fetch_add(count, SeqCst);
            return;
        }
        let rejected = rejected.min(count);
        self.rejected.fetch_add(rejected, SeqCst);
        self.delivered.fetch_add(count - rejected, SeqCst);
    }

    /// Runs a flush, and returns an error if an export fails during the flush.
    pub(crate) fn flush(&self, flush: impl FnOnce() -> OTelSdkResult) -> OTelSdkResult {
        let before = self.export_failed.load(SeqCst);
        flush()?;
        match self.export_failed.load(SeqCst) - before {
            0 => Ok(()),
            failed => Err(OTelSdkError::InternalFailure(format!(
                "{failed} could not be exported"
            ))),
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    pub(crate) fn counts(&self) -> ItemCounts {
        let export_failed = self.export_failed.load(SeqCst);
        let rejected = self.rejected.load(SeqCst);
        let delivered = self.delivered.load(SeqCst);
        let done = delivered + export_failed + rejected;
        let pending = self.accepted.load(SeqCst).saturating_sub(done);
        let (queued, exporting, abandoned) = if self.closed.load(SeqCst) {
            (0, 0, pending)
        } else {
            let queued = (self.queued.load(SeqCst) as u64).min(pending);
            (queued, pending - queued, 0)
        };
        ItemCounts {
            queued,
            exporting,
            delivered,
            dropped: DropCounts {
                queue_full: self.queue_full.load(Relaxed),
                export_failed,
                rejected,
                shutdown: abandoned + self.after_close.load(Relaxed),
            },
            ..ItemCounts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_record_is_delivered_or_dropped_for_one_reason() {
        let failure = || Err(OTelSdkError::AlreadyShutdown);
        let counter = DropCounter::new(4, 100);
        let accepted = (0..6).filter(|_| counter.accept(10)).count();
        assert_eq!(accepted, 4);
        counter.dequeue(3);
        counter.record_export(2, &Ok(()), 1);
        // A collector cannot reject more items than it received.
        counter.record_export(0, &Ok(()), 7);
        let flushed = counter.flush(|| {
            counter.record_export(1, &failure(), 0);
            Ok(())
        });
        assert!(flushed.is_err());
        assert!(counter.flush(|| Ok(())).is_ok());
        assert!(!counter.accept(70));
        counter.release(30);
        assert!(counter.accept(70));
        let while_open = DropCounts {
            queue_full: 3,
            export_failed: 1,
            rejected: 1,
            shutdown: 0,
        };
        assert_eq!(counter.counts().dropped, while_open);
        counter.close();
        assert!(!counter.accept(1));
        // Two items were still queued, and one was recorded after the close.
        let counts = counter.counts();
        assert_eq!(counts.dropped.shutdown, 3);
        assert_eq!(counts.dropped.total() + counts.delivered, 6 + 2 + 1);
    }
}
