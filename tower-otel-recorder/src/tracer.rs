//! A handle that starts spans.

use std::{mem, sync::Arc};

use opentelemetry::InstrumentationScope;

use crate::{
    scope::TracerScope,
    shared::{PooledRecord, RecordBox, Shared},
    thread_index,
};

/// Starts the spans of one instrumentation scope. A clone increments one reference count.
#[derive(Clone, Debug)]
pub struct RecorderTracer {
    shared: Arc<Shared>,
    scope: TracerScope,
}

impl RecorderTracer {
    pub(crate) const fn new(shared: Arc<Shared>, scope: TracerScope) -> Self {
        Self { shared, scope }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns a tracer of the same recorder with another scope.
    pub(crate) fn with_scope(&self, scope: InstrumentationScope) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            scope: Some(Arc::new(scope)),
        }
    }

    /// Returns a cleared record with the scope of this tracer, from the pool if possible. Counts the start of a span if
    /// `starts`.
    #[inline(always)]
    pub(crate) fn record(&self, starts: bool) -> RecordBox {
        let thread = thread_index::current();
        let spare = self.shared.pipeline.take_spare(thread, starts);
        let mut pooled = spare.unwrap_or_else(|| self.new_record());
        pooled.record.renew();
        pooled.record.scope.set(&self.scope);
        pooled
    }

    /// A separate function, to keep the code that starts a span in few cache lines.
    #[cold]
    fn new_record(&self) -> RecordBox {
        Box::new(PooledRecord::new(&self.shared))
    }

    /// Writes to the record of a span that starts. If that panics, a counted start is reverted.
    #[inline(always)]
    pub(crate) fn write(&self, is_counted: bool, write: impl FnOnce()) {
        let start = is_counted.then(|| CountedStart(self));
        write();
        mem::forget(start);
    }

    /// Returns a record to the pool, without the span in it.
    pub(crate) fn discard(&self, mut record: RecordBox) {
        record.cancel_held();
        record.is_counted_not_held = false;
        record.record.clear();
        let thread = thread_index::current();
        self.shared.pipeline.put_spare(thread, record);
    }
}

/// Reverts the count of a started span when it is dropped.
struct CountedStart<'a>(&'a RecorderTracer);

impl Drop for CountedStart<'_> {
    fn drop(&mut self) {
        let thread = thread_index::current();
        self.0.shared.pipeline.correct_started(thread, -1);
    }
}
