//! The spans to which the value of a held trace in their context does not apply.

use std::sync::PoisonError;

use opentelemetry::SpanId;

use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The maximum number of excluded spans.
pub(super) const MAX_EXCLUDED: usize = 64;

/// Spans with the same trace id as a held trace, that do not belong to it although their contexts inherit its value.
///
/// The lock is only taken after the first one.
#[derive(Debug)]
pub(super) struct ExcludedSpans {
    has_any: AtomicBool,
    ids: Mutex<Vec<SpanId>>,
}

impl ExcludedSpans {
    pub(super) fn new() -> Self {
        Self {
            has_any: AtomicBool::new(false),
            ids: Mutex::new(Vec::new()),
        }
    }

    /// Adds a span. Returns `false` if there are too many.
    #[cold]
    pub(super) fn add(&self, span: SpanId) -> bool {
        let mut ids = self.ids();
        self.has_any.store(true, Relaxed);
        let has_place = ids.len() < MAX_EXCLUDED;
        if has_place {
            ids.push(span);
        }
        has_place
    }

    #[inline]
    pub(super) fn contains(&self, span: SpanId) -> bool {
        self.has_any.load(Relaxed) && self.ids().contains(&span)
    }

    /// Removes all spans.
    pub(super) fn clear(&mut self) {
        if self.has_any.load(Relaxed) {
            *self = Self::new();
        }
    }

    fn ids(&self) -> MutexGuard<'_, Vec<SpanId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
