//! A handle that starts spans.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;

use crate::{
    record::SpanRecord,
    shared::{PooledRecord, RecordBox, Shared},
    thread_index,
};

/// Starts the spans of one instrumentation scope. A clone costs one reference count.
#[derive(Clone, Debug)]
pub struct RecorderTracer {
    shared: Arc<Shared>,
    /// The index of the instrumentation scope.
    scope: usize,
}

impl RecorderTracer {
    pub(crate) const fn new(shared: Arc<Shared>, scope: usize) -> Self {
        Self { shared, scope }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns a tracer of the same recorder with another scope.
    pub(crate) fn with_scope(&self, scope: InstrumentationScope) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            scope: self.shared.scope_index(scope),
        }
    }

    pub(crate) const fn scope(&self) -> usize {
        self.scope
    }

    /// Returns a cleared record, from the pool if possible.
    #[inline]
    pub(crate) fn record(&self) -> RecordBox {
        let spare = self.shared.pipeline.take_spare(thread_index::current());
        spare.unwrap_or_else(|| {
            Box::new(PooledRecord {
                record: SpanRecord::new(self.shared.limits),
                shared: Arc::clone(&self.shared),
            })
        })
    }

    /// Returns a record to the pool, without the span in it.
    pub(crate) fn discard(&self, mut record: RecordBox) {
        record.record.clear();
        let thread = thread_index::current();
        self.shared.pipeline.put_spare(thread, record);
    }
}
