//! The spans that wait for export, in one buffer per thread, and the pool of records.

use std::{
    fmt, mem,
    sync::{PoisonError, TryLockError},
};

use crate::{
    amount::Amount,
    budget::Budget,
    shards::Shards,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
};

/// The number of records that a thread takes from the pool at once.
const REFILL: usize = 16;

/// The number of places that a thread reserves at once in a large queue.
const MAX_RESERVED: usize = 16;

/// The number of bytes that a thread reserves at once in a large queue, enough for 16 spans with few attributes.
const MAX_RESERVED_BYTES: usize = 32 * 1024;

/// A buffer with a larger capacity is freed when it is emptied.
const MAX_REUSED: usize = 4096;

/// A bounded queue with one buffer per thread. Only the thread that drains the queue takes the locks of other threads.
///
/// The bounds in spans and in bytes apply to all buffers together. In a large queue a thread reserves several places and
/// their bytes at once. Places that other threads have reserved and not used count as used until the queue is drained.
pub(crate) struct Queue<T> {
    shards: Shards<Mutex<Shard<T>>>,
    size: Amount,
    batch: Amount,
    /// One place for each span.
    places: Budget,
    bytes: Budget,
    closed: AtomicBool,
    /// The shared pool. A thread that starts a span never waits for its lock.
    spare: Mutex<Vec<T>>,
    /// The number of records in `spare`, written under its lock. It is read without the lock, as a hint.
    spare_len: AtomicUsize,
    max_spare: usize,
}

/// A span that was not queued, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected<T> {
    /// There are too many spans.
    Full(T),
    /// There are too few bytes left.
    TooLarge(T),
    Closed(T),
}

/// The data of one thread.
struct Shard<T> {
    queued: Vec<T>,
    reserved: Amount,
    spare: Vec<T>,
    /// The number of spans that this thread has started. It wraps, because another thread may revert a start.
    started: u64,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self {
            queued: Vec::new(),
            reserved: Amount::default(),
            spare: Vec::new(),
            started: 0,
        }
    }
}

impl<T> Queue<T> {
    /// All sizes must be at least 1.
    pub(crate) fn new(size: Amount, batch: Amount) -> Self {
        let batch = Amount {
            spans: batch.spans.min(size.spans),
            bytes: batch.bytes.min(size.bytes),
        };
        let places = (size.spans / 128).min(batch.spans / 32);
        let bytes = (size.bytes / 128).min(batch.bytes / 32);
        Self {
            shards: Shards::new(),
            size,
            batch,
            places: Budget::new(size.spans, places.clamp(1, MAX_RESERVED)),
            bytes: Budget::new(size.bytes, bytes.clamp(1, MAX_RESERVED_BYTES)),
            closed: AtomicBool::new(false),
            spare: Mutex::new(Vec::new()),
            spare_len: AtomicUsize::new(0),
            max_spare: size
                .spans
                .min(batch.spans.saturating_mul(2))
                .min(MAX_REUSED),
        }
    }

    pub(crate) const fn batch(&self) -> Amount {
        self.batch
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Closes the queue: it rejects all spans from now on. The next call of [`drain`](Self::drain) returns all spans that were
    /// accepted before.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    #[inline]
    fn shard(&self, thread: usize) -> Option<MutexGuard<'_, Shard<T>>> {
        let shard = self.shards.get(thread).or_else(|| self.shards.get(0));
        shard.map(lock)
    }

    /// Adds a span with this many bytes to the buffer of this thread. Returns whether enough spans for a batch may be queued.
    /// Never waits for free space.
    ///
    /// # Errors
    ///
    /// Returns the span if the queue is full or closed. If it is both, the reason is that it is closed.
    #[inline(always)]
    pub(crate) fn push(&self, thread: usize, span: T, bytes: usize) -> Result<bool, Rejected<T>> {
        let Some(mut shard) = self.shard(thread) else {
            return Err(Rejected::Full(span));
        };
        // Visible to every thread that takes this lock after the last `drain`.
        if self.is_closed() {
            return Err(Rejected::Closed(span));
        }
        let mut batch_is_full = false;
        if shard.reserved.spans == 0 {
            let Some(places) = self.places.take(1) else {
                return Err(Rejected::Full(span));
            };
            shard.reserved.spans = places.taken;
            batch_is_full = places.used >= self.batch.spans;
        }
        if shard.reserved.bytes < bytes {
            let Some(portion) = self.bytes.take(bytes - shard.reserved.bytes) else {
                return Err(Rejected::TooLarge(span));
            };
            shard.reserved.bytes += portion.taken;
            batch_is_full |= portion.used >= self.batch.bytes;
        }
        shard.reserved.spans -= 1;
        shard.reserved.bytes -= bytes;
        shard.queued.push(span);
        Ok(batch_is_full)
    }

    /// Moves all queued spans to `to`. They count as queued until they are [released](Self::release).
    pub(crate) fn drain(&self, to: &mut Vec<T>) {
        for shard in self.shards.iter() {
            let mut shard = lock(shard);
            to.append(&mut shard.queued);
            if shard.queued.capacity() > MAX_REUSED {
                shard.queued = Vec::new();
            }
            let unused = mem::take(&mut shard.reserved);
            self.release(unused);
        }
    }

    /// Frees the places and the bytes of drained spans.
    pub(crate) fn release(&self, amount: Amount) {
        self.places.release(amount.spans);
        self.bytes.release(amount.bytes);
    }

    /// Corrects the number of started spans, if [`take_spare`](Self::take_spare) counted too many or too few.
    pub(crate) fn correct_started(&self, thread: usize, by: i64) {
        if let Some(mut shard) = self.shard(thread) {
            shard.started = shard.started.wrapping_add_signed(by);
        }
    }

    /// Returns the number of started spans, and the number of queued spans that are not drained.
    pub(crate) fn started_and_queued(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(started, queued), shard| {
            let shard = lock(shard);
            let in_buffer = u64::try_from(shard.queued.len()).unwrap_or(u64::MAX);
            (started.wrapping_add(shard.started), queued + in_buffer)
        })
    }

    /// Returns a record from the pool, if there is one, and counts the start of a span if `starts`. Never waits for the
    /// lock of the shared pool.
    #[inline]
    pub(crate) fn take_spare(&self, thread: usize, starts: bool) -> Option<T> {
        let mut shard = self.shard(thread)?;
        shard.started = shard.started.wrapping_add(u64::from(starts));
        match shard.spare.pop() {
            Some(spare) => Some(spare),
            None => self.refill(&mut shard),
        }
    }

    /// Returns a record to the pool of this thread. Frees it if the pool is full.
    pub(crate) fn put_spare(&self, thread: usize, spare: T) {
        if let Some(mut shard) = self.shard(thread)
            && shard.spare.len() < REFILL
            && !self.is_closed()
        {
            shard.spare.push(spare);
        }
    }

    /// Returns records to the pool of this thread. Frees those that do not fit, without a lock.
    pub(crate) fn put_spares(&self, thread: usize, spares: impl IntoIterator<Item = T>) {
        let mut spares = spares.into_iter();
        if let Some(mut shard) = self.shard(thread)
            && !self.is_closed()
        {
            let room = REFILL.saturating_sub(shard.spare.len());
            shard.spare.extend(spares.by_ref().take(room));
        }
        spares.for_each(drop);
    }

    #[cold]
    fn refill(&self, shard: &mut Shard<T>) -> Option<T> {
        if self.spare_len.load(Relaxed) == 0 {
            return None;
        }
        let mut spare = match self.spare.try_lock() {
            Ok(spare) => spare,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The caller allocates a record.
            Err(TryLockError::WouldBlock) => return None,
        };
        let start = spare.len().saturating_sub(REFILL);
        shard.spare.extend(spare.drain(start..));
        self.spare_len.store(start, Relaxed);
        shard.spare.pop()
    }

    /// Returns records to the pool. Frees records beyond its size.
    pub(crate) fn give_back(&self, records: &mut Vec<T>) {
        let mut spare = lock(&self.spare);
        let room = self.max_spare.saturating_sub(spare.len());
        let start = records.len().saturating_sub(room);
        spare.extend(records.drain(start..));
        self.spare_len.store(spare.len(), Relaxed);
        drop(spare);
        records.clear();
    }

    /// Frees the pool. No record may be returned after that.
    pub(crate) fn clear_spare(&self) {
        let mut spare = {
            let mut spare = lock(&self.spare);
            self.spare_len.store(0, Relaxed);
            mem::take(&mut *spare)
        };
        for shard in self.shards.iter() {
            spare.append(&mut lock(shard).spare);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("size", &self.size)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FEW_BYTES: usize = 1;

    /// Returns a queue with a maximum number of spans.
    fn queue(spans: usize, batch: usize) -> Queue<usize> {
        let bytes = usize::MAX;
        let batch = Amount {
            spans: batch,
            bytes,
        };
        Queue::new(Amount { spans, bytes }, batch)
    }

    /// Returns a queue with a maximum number of bytes.
    fn queue_of_bytes(bytes: usize, batch: usize) -> Queue<usize> {
        let spans = usize::MAX;
        let batch = Amount {
            spans,
            bytes: batch,
        };
        Queue::new(Amount { spans, bytes }, batch)
    }

    const fn spans(spans: usize) -> Amount {
        Amount {
            spans,
            bytes: spans * FEW_BYTES,
        }
    }

    fn drained(queue: &Queue<usize>) -> Vec<usize> {
        let mut spans = Vec::new();
        queue.drain(&mut spans);
        spans
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow, and on one thread")]
    fn the_bound_holds_for_all_threads_together() {
        for (size, batch) in [(1, 1), (7, 3), (2048, 512), (100_000, 512)] {
            let queue = queue(size, batch);
            let accepted = (0..2 * size).filter(|n| queue.push(n % 40, *n, FEW_BYTES).is_ok());
            let accepted = accepted.count();
            assert!(accepted <= size, "{accepted} of {size}");
            // The places that 40 threads have reserved and not used.
            assert!(accepted + 40 * 15 >= size, "{accepted} of {size}");
            assert_eq!(drained(&queue).len(), accepted);
            assert!(queue.push(0, 0, FEW_BYTES).is_ok() || accepted == size);
            drained(&queue);
            queue.release(spans(accepted));
            assert!(queue.push(0, 0, FEW_BYTES).is_ok());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow, and on one thread")]
    fn a_small_queue_takes_exactly_its_size() {
        for size in 1..200 {
            let queue = queue(size, 512);
            let accepted = (0..2 * size).filter(|n| queue.push(n % 7, *n, FEW_BYTES).is_ok());
            assert_eq!(accepted.count(), size);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow, and on one thread")]
    fn the_bound_of_bytes_holds_for_all_threads_together() {
        const EACH: usize = 1_700;
        for (size, batch) in [
            (1_699, 1),
            (1_700, 1_700),
            (100_000, 30_000),
            (16 << 20, 2 << 20),
        ] {
            let queue = queue_of_bytes(size, batch);
            let accepted = (0..2 * size / EACH + 2)
                .filter(|n| queue.push(n % 40, *n, EACH).is_ok())
                .count();
            let bytes = accepted * EACH;
            assert!(bytes <= size, "{bytes} of {size}");
            // The bytes that 40 threads have reserved and not used.
            let unused = 40 * (EACH + (size / 128).min(MAX_RESERVED_BYTES));
            assert!(bytes + unused >= size, "{bytes} of {size}");
            assert_eq!(drained(&queue).len(), accepted);
            queue.release(Amount {
                spans: accepted,
                bytes,
            });
            assert_eq!(queue.push(0, 0, EACH).is_ok(), accepted > 0);
        }
    }

    #[test]
    fn a_span_that_is_too_large_leaves_its_place_to_others() {
        let queue = queue_of_bytes(1_000, 1_000);
        assert_eq!(queue.push(0, 1, 1_001), Err(Rejected::TooLarge(1)));
        assert_eq!(queue.push(0, 2, 990), Ok(false));
        assert_eq!(queue.push(0, 3, 11), Err(Rejected::TooLarge(3)));
        assert_eq!(queue.push(0, 4, 10), Ok(true));
        assert_eq!(drained(&queue), [2, 4]);
    }

    #[test]
    fn bytes_without_a_bound_do_not_overflow() {
        let queue = queue_of_bytes(usize::MAX, usize::MAX);
        assert!(queue.push(0, 1, usize::MAX / 2).is_ok());
        assert!(queue.push(1, 2, usize::MAX / 4).is_ok());
        assert_eq!(drained(&queue), [1, 2]);
    }

    #[test]
    fn a_queue_without_a_bound_allocates_nothing_up_front() {
        let queue = queue(usize::MAX, usize::MAX);
        assert!(!queue.push(0, 7, FEW_BYTES).unwrap());
        assert_eq!(drained(&queue), [7]);
        assert_eq!(lock(&queue.spare).capacity(), 0);
    }

    #[test]
    fn a_closed_queue_refuses_spans_and_keeps_those_it_has() {
        let queue = queue(8, 8);
        queue.push(0, 1, FEW_BYTES).unwrap();
        queue.close();
        assert_eq!(queue.push(0, 2, FEW_BYTES), Err(Rejected::Closed(2)));
        assert_eq!(queue.push(30, 3, FEW_BYTES), Err(Rejected::Closed(3)));
        assert_eq!(drained(&queue), [1]);
    }

    #[test]
    fn a_full_queue_refuses_spans_until_it_is_closed() {
        let queue = queue(1, 1);
        queue.push(0, 1, FEW_BYTES).unwrap();
        assert_eq!(queue.push(0, 2, FEW_BYTES), Err(Rejected::Full(2)));
        queue.close();
        assert_eq!(queue.push(0, 3, FEW_BYTES), Err(Rejected::Closed(3)));
    }

    #[test]
    fn a_thread_that_starts_a_span_does_not_wait_for_the_pool() {
        let queue = queue(64, 32);
        queue.give_back(&mut (0..20).collect());
        let pool = lock(&queue.spare);
        // Would block forever if it waited.
        assert_eq!(queue.take_spare(0, true), None);
        drop(pool);
        assert!(queue.take_spare(0, true).is_some());
    }

    #[test]
    fn the_number_of_pooled_records_is_known_without_the_lock() {
        let queue = queue(64, 32);
        let is_known = || {
            let pooled = lock(&queue.spare).len();
            assert_eq!(queue.spare_len.load(Relaxed), pooled);
            pooled
        };
        queue.give_back(&mut (0..20).collect());
        assert_eq!(is_known(), 20);
        queue.take_spare(0, true);
        assert_eq!(is_known(), 20 - REFILL);
        queue.take_spare(1, true);
        assert_eq!(is_known(), 0);
        queue.give_back(&mut (0..20).collect());
        queue.clear_spare();
        assert_eq!(is_known(), 0);
    }

    #[test]
    fn a_full_batch_is_reported_at_its_last_span_at_the_latest() {
        for (size, batch) in [(8, 4), (2048, 512), (4096, 4096)] {
            let queue = queue(size, batch);
            let first = (0..batch).position(|n| queue.push(n % 8, n, FEW_BYTES).unwrap());
            let first = first.unwrap() + 1;
            assert!(
                first <= batch && first + 8 * 15 >= batch,
                "{first} of {batch}"
            );
        }
    }

    #[test]
    fn a_record_that_is_not_queued_returns_to_the_pool_of_its_thread() {
        let queue = queue(8, 2);
        for n in 0..100 {
            queue.put_spare(0, n);
        }
        assert_eq!(queue.take_spare(1, true), None);
        let taken = std::iter::from_fn(|| queue.take_spare(0, true));
        assert_eq!(taken.count(), REFILL);
        queue.close();
        queue.put_spare(0, 0);
        assert_eq!(queue.take_spare(0, true), None);
    }

    #[test]
    fn records_return_to_the_pool_up_to_its_size() {
        let queue = queue(8, 2);
        queue.give_back(&mut (0..100).collect());
        let taken: Vec<_> = std::iter::from_fn(|| queue.take_spare(0, true)).collect();
        assert_eq!(taken.len(), 4);
        queue.give_back(&mut vec![1, 2]);
        assert!(queue.take_spare(1, true).is_some());
        queue.clear_spare();
        assert_eq!(queue.take_spare(1, true), None);
    }
}
