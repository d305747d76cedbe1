//! The state that a recorder, its tracers and its open spans share.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::trace::SpanLimits;

use crate::{pipeline::Pipeline, record::SpanRecord, sampling::Sampling};

pub(crate) struct Shared {
    pub(crate) pipeline: Pipeline<Box<PooledRecord>>,
    pub(crate) sampling: Sampling,
    pub(crate) limits: SpanLimits,
    scopes: Mutex<Vec<InstrumentationScope>>,
}

/// A record with its way back to the recorder.
///
/// A reference for each record in place of one for each open span: threads would contend for its count. The pool and
/// the queue refer to the recorder by it, until the export thread empties both when it ends.
pub(crate) struct PooledRecord {
    pub(crate) record: SpanRecord,
    pub(crate) shared: Arc<Shared>,
}

impl Shared {
    pub(crate) fn new(
        pipeline: Pipeline<Box<PooledRecord>>,
        sampling: Sampling,
        limits: SpanLimits,
    ) -> Self {
        Self {
            pipeline,
            sampling,
            limits,
            scopes: Mutex::default(),
        }
    }

    /// Returns the index of a scope. Equal scopes have one index.
    pub(crate) fn scope_index(&self, scope: InstrumentationScope) -> usize {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = scopes.iter().position(|known| *known == scope);
        known.unwrap_or_else(|| {
            scopes.push(scope);
            scopes.len() - 1
        })
    }

    /// Returns all scopes, by their index.
    pub(crate) fn scopes(&self) -> Vec<InstrumentationScope> {
        let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.clone()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pipeline", &self.pipeline)
            .field("sampling", &self.sampling)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PooledRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}
