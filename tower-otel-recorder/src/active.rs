//! An open span, owned by the code that ends it.

use std::{sync::Arc, time::Instant};

use opentelemetry::trace::Status;

use crate::{
    buffer::AttributeBuffer,
    clock::Timestamp,
    record::SpanRecord,
    shared::{PooledRecord, Shared},
    thread_index,
    tracer::RecorderTracer,
};

/// A span that has started and not ended. Dropping it ends it.
///
/// Its owner writes to the record without a lock.
#[derive(Debug)]
pub struct ActiveSpan(Option<Box<PooledRecord>>);

impl ActiveSpan {
    pub(crate) const fn new(record: Box<PooledRecord>) -> Self {
        Self(Some(record))
    }

    /// Returns the record, unless the span was ended through its OpenTelemetry context.
    fn open_record(&mut self) -> Option<&mut SpanRecord> {
        let record = &mut self.0.as_mut()?.record;
        (!record.changes.has_ended()).then_some(record)
    }

    /// Returns the attributes, to add to them. Returns `None` if the span was ended through its OpenTelemetry context.
    #[inline]
    pub fn attributes(&mut self) -> Option<&mut AttributeBuffer> {
        self.open_record().map(SpanRecord::attributes)
    }

    /// Sets the status, unless it is set to a higher one: `Ok` is above `Error`, `Error` above `Unset`.
    pub fn set_status(&mut self, status: Status) {
        if let Some(record) = self.open_record() {
            record.extras().status(status);
        }
    }

    /// Ends the span. `tracer` is the one that started it.
    #[inline]
    pub fn end(mut self, tracer: &RecorderTracer, at: Instant) {
        let Some(record) = self.0.take() else { return };
        if Arc::ptr_eq(tracer.shared(), &record.shared) {
            finish(record, tracer.shared(), at);
        } else {
            drop(Self(Some(record)));
        }
    }
}

fn finish(mut pooled: Box<PooledRecord>, shared: &Shared, at: Instant) {
    let record = &mut pooled.record;
    record.ended = Timestamp::Instant(at);
    record.context_extras = record.changes.end();
    shared.pipeline.push(thread_index::current(), pooled);
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            let shared = Arc::clone(&record.shared);
            finish(record, &shared, Instant::now());
        }
    }
}
