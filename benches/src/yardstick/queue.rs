//! Ended records on their way to a thread that reads and discards them, in place of an export.

use std::{
    hint::black_box,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, Thread},
    time::Duration,
};

use crate::recorded_counts;

/// The number of records that wakes the thread, and the maximal number that waits for it.
const BATCH: usize = 512;
const QUEUE: usize = 2048;

/// A record that is reused.
pub trait Discard: Send + 'static {
    /// Returns a number that depends on all bytes of the record.
    fn checksum(&self) -> u64;
}

/// A queue of ended records, and the records for the next spans.
pub struct Queue<T> {
    lists: Arc<Lists<T>>,
    reader: Thread,
}

struct Lists<T> {
    ended: Mutex<Vec<Box<T>>>,
    spare: Mutex<Vec<Box<T>>>,
    flushes: Mutex<Vec<mpsc::Sender<()>>>,
    checksum: AtomicU64,
}

impl<T: Discard> Lists<T> {
    fn discard(&self) {
        let flushes = mem::take(&mut *self.flushes.lock().unwrap());
        let ended = mem::take(&mut *self.ended.lock().unwrap());
        let sum = ended.iter().fold(0, |sum, record| sum ^ record.checksum());
        self.checksum.store(black_box(sum), Relaxed);
        recorded_counts::add_spans(ended.len());
        self.spare.lock().unwrap().extend(ended);
        for flush in flushes {
            let _ = flush.send(());
        }
    }
}

impl<T: Discard> Queue<T> {
    /// Starts the thread that reads the records.
    pub fn start() -> Self {
        let lists = Arc::new(Lists::<T> {
            ended: Mutex::default(),
            spare: Mutex::default(),
            flushes: Mutex::default(),
            checksum: AtomicU64::default(),
        });
        let read = Arc::clone(&lists);
        let reader = thread::spawn(move || {
            loop {
                read.discard();
                if read.flushes.lock().unwrap().is_empty() {
                    thread::park_timeout(Duration::from_secs(3600));
                }
            }
        });
        Self {
            lists,
            reader: reader.thread().clone(),
        }
    }

    /// Returns a record that was used before, from the pool of this thread or else from the shared one.
    pub fn take_spare(&self, pool: &mut Vec<Box<T>>) -> Option<Box<T>> {
        if pool.is_empty() {
            let mut spare = self.lists.spare.lock().unwrap();
            let keep = spare.len().saturating_sub(64);
            pool.extend(spare.drain(keep..));
        }
        pool.pop()
    }

    /// Queues an ended record.
    pub fn push(&self, record: Box<T>) {
        let mut ended = self.lists.ended.lock().unwrap();
        if ended.len() < QUEUE {
            ended.push(record);
            if ended.len() == BATCH {
                drop(ended);
                self.reader.unpark();
            }
        }
    }

    /// Waits until the ended records are read.
    pub fn flush(&self) {
        let (sender, receiver) = mpsc::channel();
        self.lists.flushes.lock().unwrap().push(sender);
        self.reader.unpark();
        receiver.recv().unwrap();
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            lists: Arc::clone(&self.lists),
            reader: self.reader.clone(),
        }
    }
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
