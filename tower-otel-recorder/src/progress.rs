//! The state of the export thread, under one lock.

use std::{
    mem,
    time::{Duration, Instant},
};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

/// Requests to the export thread, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The number of flushes that were requested, and how many of them are done.
    pub(crate) flushes: u64,
    pub(crate) flushed: u64,
    pub(crate) shutdown: Option<Shutdown>,
    /// The last failure, and the number of flushes that had been requested by then.
    pub(crate) failure: Option<(u64, String)>,
    /// The number of drained spans that are not yet given to the exporter, and of those that are.
    pub(crate) backlog: usize,
    pub(crate) exporting: usize,
    /// Whether a shutdown ran out of time. The backlog is counted as dropped already.
    pub(crate) abandoned: bool,
    pub(crate) thread_has_ended: bool,
}

/// A shutdown that was requested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shutdown {
    pub(crate) timeout: Duration,
    /// When the last caller runs out of time. `None` if that is too far away to be represented.
    pub(crate) deadline: Option<Instant>,
    /// The number of its flush.
    pub(crate) flush: u64,
    /// How many callers wait for it.
    pub(crate) waiting: usize,
}

impl Shutdown {
    /// Adds the timeout of a caller, from now on.
    pub(crate) fn extend(&mut self, timeout: Duration) {
        let deadline = Instant::now().checked_add(timeout);
        self.deadline = match (self.deadline, deadline) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
    }
}

impl Progress {
    /// Returns whether a shutdown is finished.
    pub(crate) fn is_shut_down(&self) -> bool {
        let done = |shutdown: Shutdown| self.flushed >= shutdown.flush;
        self.thread_has_ended || self.shutdown.is_some_and(done)
    }

    /// Returns the result of a flush that is done.
    pub(crate) fn result(&self, flush: u64) -> OTelSdkResult {
        match &self.failure {
            Some((at, failure)) if *at >= flush => {
                Err(OTelSdkError::InternalFailure(failure.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Gives up the spans in the hands of the export thread and returns their numbers.
    pub(crate) fn abandon(&mut self) -> Abandoned {
        self.abandoned = true;
        Abandoned {
            backlog: mem::take(&mut self.backlog),
            exporting: mem::take(&mut self.exporting),
        }
    }
}

/// The flushes and the shutdown that are requested and not finished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requested {
    #[allow(dead_code, reason = "only the OTLP exporter reads it")]
    pub(crate) is_any: bool,
    /// When the shutdown runs out of time.
    pub(crate) shutdown_deadline: Option<Instant>,
}

/// What the export thread has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The number of flushes that are done after this turn.
    pub(crate) flushes: u64,
    /// The time for the shutdown of the exporter, if the recorder is shut down.
    pub(crate) shutdown: Option<Duration>,
}

/// The numbers of spans that a shutdown leaves in the hands of the export thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abandoned {
    pub(crate) backlog: usize,
    pub(crate) exporting: usize,
}
