//! Exemplars: one sample for each bucket of a histogram, with the span it was recorded in.

use std::time::SystemTime;

use crate::sync::{
    Mutex, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// The ids of a span that is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExportedSpan {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

/// A function that returns the current span if it is exported.
pub(crate) type SpanSource = fn() -> Option<ExportedSpan>;

/// A sample and its span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exemplar {
    pub(crate) span: ExportedSpan,
    pub(crate) value: f64,
    pub(crate) at: SystemTime,
}

/// The exemplars of one histogram, one slot per bucket.
///
/// A slot is due (may be written) while it is empty, and again after a scrape has read it. The current span is read
/// only if the slot of the sample's bucket is due, so most samples cost one atomic load.
///
/// The fields are in this order, because a histogram has the first two on the cache line that each sample changes.
#[repr(C)]
pub(crate) struct Exemplars {
    /// A bit for each of the first slots, and one for all others: whether a slot may be due. Zero without a source.
    due: AtomicU64,
    /// `None` if the histogram has no exemplars.
    source: Option<SpanSource>,
    buckets: usize,
    /// Allocated by the first exemplar: about 60 bytes per bucket.
    slots: OnceLock<Box<[ExemplarSlot]>>,
}

struct ExemplarSlot {
    is_due: AtomicBool,
    exemplar: Mutex<Option<Exemplar>>,
}

impl Exemplars {
    pub(crate) fn new(source: Option<SpanSource>, buckets: usize) -> Self {
        Self {
            due: AtomicU64::new(source.map_or(0, |_| u64::MAX)),
            source,
            buckets,
            slots: OnceLock::new(),
        }
    }

    /// Returns whether the slot of a bucket may be due. If not, the sample need not be [offered](Self::offer).
    #[inline]
    pub(crate) fn is_due(&self, bucket: usize) -> bool {
        self.due.load(Relaxed) & bit(bucket) != 0
    }

    /// Stores a sample of a bucket if its slot is due and the current span is exported. Never waits: a
    /// sample that finds the slot locked is not stored.
    // Without an exported span, each sample is offered.
    #[inline(always)]
    pub(crate) fn offer(&self, bucket: usize, value: f64) {
        let slot = self.slots.get().and_then(|slots| slots.get(bucket));
        if slot.is_some_and(|slot| !slot.is_due.load(Relaxed)) {
            return;
        }
        if let Some(span) = self.source.and_then(|source| source()) {
            self.store(bucket, value, span);
        }
    }

    #[cold]
    #[inline(never)]
    fn store(&self, bucket: usize, value: f64, span: ExportedSpan) {
        let slots = self.slots.get_or_init(|| {
            let slot = |_| ExemplarSlot {
                is_due: AtomicBool::new(true),
                exemplar: Mutex::new(None),
            };
            (0..self.buckets).map(slot).collect()
        });
        let Some(slot) = slots.get(bucket) else {
            return;
        };
        if let Ok(mut exemplar) = slot.exemplar.try_lock() {
            *exemplar = Some(Exemplar {
                span,
                value,
                at: SystemTime::now(),
            });
            // The flags are cleared under the lock. Otherwise a scrape could mark the slot as due before.
            slot.is_due.store(false, Relaxed);
            if bucket < SHARED_BIT {
                self.due.fetch_and(!bit(bucket), Relaxed);
            }
        }
    }

    /// Returns the exemplar of a bucket and marks its slot as due.
    pub(crate) fn read(&self, bucket: usize) -> Option<Exemplar> {
        let slot = self.slots.get()?.get(bucket)?;
        let exemplar = slot.exemplar.lock().ok()?;
        slot.is_due.store(true, Relaxed);
        self.due.fetch_or(bit(bucket), Relaxed);
        *exemplar
    }
}

/// The bit of all slots from this one on. It is never cleared.
const SHARED_BIT: usize = 63;

/// Returns the bit of a slot in [`Exemplars::due`].
#[inline]
fn bit(bucket: usize) -> u64 {
    1 << bucket.min(SHARED_BIT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static CURRENT: Cell<Option<u8>> = const { Cell::new(None) };
        static LOOKUPS: Cell<u32> = const { Cell::new(0) };
    }

    fn current_span() -> Option<ExportedSpan> {
        LOOKUPS.set(LOOKUPS.get() + 1);
        CURRENT.get().map(|id| ExportedSpan {
            trace_id: [id; 16],
            span_id: [id; 8],
        })
    }

    #[test]
    fn a_bucket_has_the_first_sample_of_an_exported_span_after_each_read() {
        let exemplars = Exemplars::new(Some(current_span), 2);
        let value = |bucket| {
            let exemplar = exemplars.read(bucket)?;
            Some((exemplar.value, exemplar.span.span_id[0]))
        };
        exemplars.offer(0, 1.0);
        assert_eq!((value(0), value(1)), (None, None), "no span is exported");
        CURRENT.set(Some(7));
        exemplars.offer(0, 2.0);
        CURRENT.set(Some(8));
        exemplars.offer(0, 3.0);
        assert_eq!((value(0), value(1)), (Some((2.0, 7)), None));
        exemplars.offer(0, 4.0);
        exemplars.offer(1, 5.0);
        assert_eq!((value(0), value(1)), (Some((4.0, 8)), Some((5.0, 8))));
        CURRENT.set(None);
        exemplars.offer(0, 6.0);
        assert_eq!(value(0), Some((4.0, 8)), "it stays until it is replaced");
        exemplars.offer(2, 7.0);
        assert_eq!(value(2), None);
    }

    #[test]
    fn a_sample_looks_for_a_span_only_if_its_slot_is_due() {
        let exemplars = Exemplars::new(Some(current_span), 1);
        CURRENT.set(Some(1));
        (0..100).for_each(|_| exemplars.offer(0, 1.0));
        assert_eq!(LOOKUPS.get(), 1);
        exemplars.read(0).unwrap();
        (0..100).for_each(|_| exemplars.offer(0, 1.0));
        assert_eq!(LOOKUPS.get(), 2);
    }

    #[test]
    fn each_of_many_buckets_has_its_own_exemplar() {
        let exemplars = Exemplars::new(Some(current_span), 100);
        CURRENT.set(Some(1));
        for round in 0..3 {
            for bucket in 0..100 {
                let value = f64::from(round * 1_000 + bucket);
                let bucket = usize::try_from(bucket).unwrap();
                exemplars.offer(bucket, value);
                exemplars.offer(bucket, -1.0);
                assert_eq!(LOOKUPS.get(), u32::try_from(bucket).unwrap() + 1);
                assert_eq!(exemplars.read(bucket).unwrap().value, value);
            }
            LOOKUPS.set(0);
        }
        let without = Exemplars::new(None, 100);
        without.offer(0, 1.0);
        assert!(without.read(0).is_none());
    }

    #[test]
    fn a_sample_does_not_wait_for_a_scrape() {
        let exemplars = Exemplars::new(Some(current_span), 1);
        CURRENT.set(Some(1));
        exemplars.offer(0, 1.0);
        exemplars.read(0).unwrap();
        let slots = exemplars.slots.get().unwrap();
        let scrape = slots.first().unwrap().exemplar.lock().unwrap();
        exemplars.offer(0, 2.0);
        drop(scrape);
        assert_eq!(exemplars.read(0).unwrap().value, 1.0);
    }
}
