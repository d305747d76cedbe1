//! The state of the export thread, under one lock.

use std::{
    mem,
    time::{Duration, Instant},
};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

/// Requests to the export thread, and its progress.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The number of requested flushes, and the number of completed ones.
    pub(crate) flushes: u64,
    pub(crate) flushed: u64,
    pub(crate) shutdown: Option<Shutdown>,
    /// The last failure, and the number of flushes that had been requested before it.
    pub(crate) failure: Option<(u64, String)>,
    /// The number of drained spans that are not yet in the exporter, and the number of spans in the exporter.
    pub(crate) backlog: usize,
    pub(crate) exporting: usize,
    /// Whether a shutdown timed out. The backlog is then already counted as dropped.
    pub(crate) abandoned: bool,
    pub(crate) thread_has_ended: bool,
}

/// A shutdown that was requested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shutdown {
    pub(crate) timeout: Duration,
    /// The time at which the last caller times out. `None` if it cannot be represented.
    pub(crate) deadline: Option<Instant>,
    /// The number of its flush.
    pub(crate) flush: u64,
    /// The number of waiting callers.
    pub(crate) waiting: usize,
}

impl Shutdown {
    /// Adds the timeout of a caller, starting now.
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

    /// Returns the result of a completed flush.
    pub(crate) fn result(&self, flush: u64) -> OTelSdkResult {
        match &self.failure {
            Some((at, failure)) if *at >= flush => {
                Err(OTelSdkError::InternalFailure(failure.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Abandons the spans of the export thread and returns their numbers.
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
    /// The time at which the shutdown times out.
    pub(crate) shutdown_deadline: Option<Instant>,
}

/// The work of the export thread in one turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The number of flushes that are completed after this turn.
    pub(crate) flushes: u64,
    /// The time for the shutdown of the exporter, if the recorder is shut down.
    pub(crate) shutdown: Option<Duration>,
}

/// The numbers of spans that remain in the export thread after a shutdown timed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abandoned {
    pub(crate) backlog: usize,
    pub(crate) exporting: usize,
}
