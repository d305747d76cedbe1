//! The state that a recorder, its tracers and its open spans share.

use std::{fmt, sync::Arc};

use crate::{
    changes::ContextChanges,
    export_report::ExportReport,
    keep::{HeldSpan, HeldTrace, Keeper},
    limits::Limits,
    pipeline::Pipeline,
    record::SpanRecord,
    sampling::Sampling,
};

pub(crate) struct Shared {
    pub(crate) pipeline: Pipeline<RecordBox>,
    pub(crate) sampling: Sampling,
    pub(crate) limits: Limits,
    pub(crate) keeper: Keeper<RecordBox>,
    pub(crate) report: ExportReport,
}

/// A record with a reference to its recorder.
///
/// Each record has a reference, not each open span, because threads would contend for the reference count. The pool and the
/// queue therefore refer to the recorder, until the export thread empties both when it ends.
pub(crate) struct PooledRecord {
    pub(crate) record: SpanRecord,
    pub(crate) shared: Arc<Shared>,
    /// The number of bytes of a record in the queue.
    pub(crate) bytes: usize,
    /// The place in the trace of an open span that is not sampled and may be kept.
    pub(crate) held: Option<HeldSpan<RecordBox>>,
    /// Whether the open span is counted, because it was not held for lack of room.
    pub(crate) is_counted_not_held: bool,
}

impl PooledRecord {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            record: SpanRecord::new(shared.limits),
            shared: Arc::clone(shared),
            bytes: 0,
            held: None,
            is_counted_not_held: false,
        }
    }

    /// Sets the place of an open span in its trace, and returns the trace. Returns `None` if the trace has too few bytes left
    /// for the bytes of the record.
    #[inline(always)]
    pub(crate) fn set_held(&mut self, held: Option<HeldSpan<RecordBox>>) -> SpanTrace {
        held.and_then(|held| self.restrict_to(held))
    }

    #[inline(never)]
    fn restrict_to(&mut self, held: HeldSpan<RecordBox>) -> SpanTrace {
        let trace = Arc::clone(held.trace());
        self.held = Some(held);
        if self.record.restrict(&trace) {
            return Some(trace);
        }
        self.cancel_held();
        None
    }

    /// Returns whether the span is held, and the context below which it starts has its trace.
    #[inline]
    pub(crate) fn inherits_trace(&self) -> bool {
        self.held.as_ref().is_some_and(HeldSpan::is_inherited)
    }

    /// Takes the place of an open span out of the record, and returns the bytes borrowed from its trace.
    #[inline]
    pub(crate) fn take_held(&mut self) -> Option<HeldSpan<RecordBox>> {
        let held = self.held.take()?;
        self.record.lift_restriction();
        Some(held)
    }

    /// Frees the place of an open span in its trace.
    pub(crate) fn cancel_held(&mut self) {
        if let Some(held) = self.take_held() {
            self.shared.cancel_held(&held);
        }
    }

    /// Sets and returns the number of bytes that the record has allocated.
    #[inline(always)]
    pub(crate) fn measure(&mut self) -> usize {
        const FIXED: usize = size_of::<PooledRecord>() + size_of::<ContextChanges>();
        self.bytes = FIXED + self.record.allocated();
        self.bytes
    }
}

impl Drop for PooledRecord {
    fn drop(&mut self) {
        self.cancel_held();
    }
}

/// The trace of a held span. `None` for sampled spans.
pub(crate) type SpanTrace = Option<Arc<HeldTrace<RecordBox>>>;

/// A record in the queue or in the pool.
pub(crate) type RecordBox = Box<PooledRecord>;

impl Shared {
    pub(crate) const fn new(
        pipeline: Pipeline<RecordBox>,
        sampling: Sampling,
        limits: Limits,
        keeper: Keeper<RecordBox>,
    ) -> Self {
        Self {
            pipeline,
            sampling,
            limits,
            keeper,
            report: ExportReport::new(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pipeline", &self.pipeline)
            .field("sampling", &self.sampling)
            .field("limits", &self.limits)
            .field("keeper", &self.keeper)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PooledRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}
