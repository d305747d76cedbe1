//! Between the threads that serve and the one that exports.

use std::{
    fmt,
    sync::PoisonError,
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::SpanLimits,
};

use super::{
    entry::Entry,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, Thread,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
        park_timeout,
    },
};

/// A bounded queue of what has ended, and what is asked of the thread that empties it.
pub(super) struct Queue {
    entries: ArrayQueue<Box<Entry>>,
    /// Entries that were made into spans. They are written again, lest each be allocated on one
    /// thread and freed on another.
    spare: ArrayQueue<Box<Entry>>,
    limits: SpanLimits,
    /// At this length the thread is woken before its time.
    batch: usize,
    woken: AtomicBool,
    closed: AtomicBool,
    thread: OnceLock<Thread>,
    asked: Mutex<Asked>,
    answered: Condvar,
    pub(super) counts: Counts,
}

/// What became of the spans that have ended.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) exported: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// What is asked of the thread, and how far it has come.
#[derive(Debug, Default)]
struct Asked {
    flushes: u64,
    flushed: u64,
    /// How long the exporter may take to shut down, once it has to.
    shutdown: Option<Duration>,
    /// What an export had to complain of, and how many flushes had been asked for by then.
    complaint: Option<(u64, String)>,
    gone: bool,
}

/// What the thread has to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) flushes: u64,
    pub(super) shutdown: Option<Duration>,
}

impl Queue {
    /// Neither size is 0.
    pub(super) fn new(size: usize, batch: usize, limits: SpanLimits) -> Self {
        Self {
            entries: ArrayQueue::new(size),
            spare: ArrayQueue::new(size),
            limits,
            batch: batch.min(size),
            woken: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            thread: OnceLock::new(),
            asked: Mutex::default(),
            answered: Condvar::new(),
            counts: Counts::default(),
        }
    }

    pub(super) const fn limits(&self) -> &SpanLimits {
        &self.limits
    }

    pub(super) const fn batch(&self) -> usize {
        self.batch
    }

    /// How many entries wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries nobody will ever take out.
    pub(super) fn abandoned(&self) -> u64 {
        if self.asked().gone {
            self.len() as u64
        } else {
            0
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Never blocks: what has no room is dropped, and counted.
    ///
    /// `SeqCst` has one order for everybody: either the thread, which takes `woken` back before it
    /// looks, sees the entry, or it is seen here that it has to be woken.
    pub(super) fn push(&self, entry: Box<Entry>) {
        if self.is_closed() || self.entries.push(entry).is_err() {
            self.lose();
        } else if self.entries.len() >= self.batch && !self.woken.load(SeqCst) {
            self.wake();
        }
    }

    /// The thread says so: here a span may be locked, and a request waits.
    #[cold]
    fn lose(&self) {
        self.counts.dropped.fetch_add(1, Relaxed);
    }

    #[cold]
    fn wake(&self) {
        if !self.woken.swap(true, SeqCst) {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn pop(&self) -> Option<Box<Entry>> {
        self.entries.pop()
    }

    /// An entry to be written again, if there is one.
    pub(super) fn spare(&self) -> Option<Box<Entry>> {
        self.spare.pop()
    }

    /// Takes an entry back.
    pub(super) fn give_back(&self, entry: Box<Entry>) {
        // As many are kept as may wait; more are freed.
        let _ = self.spare.push(entry);
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the thread, before anything else.
    pub(super) fn served_by(&self, thread: Thread) {
        self.thread.get_or_init(|| thread);
    }

    /// Waits until there is something to do, or the time is over.
    pub(super) fn wait(&self, until: Instant, done: u64) -> Turn {
        loop {
            let woken = self.woken.swap(false, SeqCst);
            let turn = {
                let asked = self.asked();
                Turn {
                    flushes: asked.flushes,
                    shutdown: asked.shutdown,
                }
            };
            let left = until.saturating_duration_since(Instant::now());
            if woken || turn.flushes != done || turn.shutdown.is_some() || left.is_zero() {
                return turn;
            }
            park_timeout(left);
        }
    }

    /// Says that everything has been exported that was there before so many flushes were asked for.
    pub(super) fn done(&self, flushes: u64, complaint: Option<String>) {
        let mut asked = self.asked();
        asked.flushed = flushes;
        if let Some(complaint) = complaint {
            asked.complaint = Some((flushes, complaint));
        }
        drop(asked);
        self.answered.notify_all();
    }

    /// The thread is no more. Nobody has to wait for it.
    pub(super) fn gone(&self) {
        self.closed.store(true, SeqCst);
        self.asked().gone = true;
        self.answered.notify_all();
    }

    /// Asks for everything that is there to be exported, and waits for it.
    pub(super) fn flush(&self, timeout: Duration) -> OTelSdkResult {
        let mut asked = self.asked();
        if asked.gone || asked.shutdown.is_some() {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        asked.flushes += 1;
        let flush = asked.flushes;
        drop(asked);
        self.unpark();
        let asked = self.until(timeout, |asked| asked.flushed >= flush)?;
        verdict(&asked, flush)
    }

    /// Takes nothing more, exports what is there, and waits until the thread is gone.
    pub(super) fn shutdown(&self, timeout: Duration) -> OTelSdkResult {
        let mut asked = self.asked();
        if asked.gone || asked.shutdown.is_some() {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        self.closed.store(true, SeqCst);
        asked.shutdown = Some(timeout);
        asked.flushes += 1;
        let last = asked.flushes;
        drop(asked);
        self.unpark();
        let asked = self.until(timeout, |asked| asked.flushed >= last)?;
        verdict(&asked, last)
    }

    fn until(
        &self,
        timeout: Duration,
        is: impl Fn(&Asked) -> bool,
    ) -> Result<MutexGuard<'_, Asked>, OTelSdkError> {
        let (asked, _) = self
            .answered
            .wait_timeout_while(self.asked(), timeout, |asked| !is(asked) && !asked.gone)
            .unwrap_or_else(PoisonError::into_inner);
        if is(&asked) {
            Ok(asked)
        } else if asked.gone {
            Err(OTelSdkError::InternalFailure(
                "the recorder's thread is gone".to_owned(),
            ))
        } else {
            Err(OTelSdkError::Timeout(timeout))
        }
    }
}

fn verdict(asked: &Asked, flush: u64) -> OTelSdkResult {
    match &asked.complaint {
        Some((at, complaint)) if *at >= flush => {
            Err(OTelSdkError::InternalFailure(complaint.clone()))
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.entries.len())
            .field("size", &self.entries.capacity())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
