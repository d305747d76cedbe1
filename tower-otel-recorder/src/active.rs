//! An open span, owned by the code that ends it.

use std::{sync::Arc, time::Instant};

use opentelemetry::trace::Status;

use crate::{
    buffer::AttributeBuffer,
    clock::Timestamp,
    record::SpanRecord,
    shared::{RecordBox, Shared},
    thread_index,
    tracer::RecorderTracer,
};

/// A span that has started and not ended, or none. Dropping it ends it.
///
/// Its owner writes to the record without a lock. The default is no span.
#[derive(Debug, Default)]
pub struct ActiveSpan(OwnedRecord);

/// The record of a span that ends when this is dropped. `None` if there is no span, or it has ended.
#[derive(Debug, Default)]
struct OwnedRecord(Option<RecordBox>);

impl ActiveSpan {
    pub(crate) const fn new(record: RecordBox) -> Self {
        Self(OwnedRecord(Some(record)))
    }

    /// Returns whether there is a span that has not ended.
    pub const fn is_some(&self) -> bool {
        self.0.0.is_some()
    }

    /// Returns the record, unless the span was ended through its OpenTelemetry context.
    pub(crate) fn open_record(&mut self) -> Option<&mut SpanRecord> {
        let record = &mut self.0.0.as_mut()?.record;
        (!record.changes.has_ended()).then_some(record)
    }

    /// Returns the record. The span does not end.
    pub(crate) fn into_record(mut self) -> Option<RecordBox> {
        self.0.0.take()
    }

    /// Returns the attributes, so that the caller can add some. Returns `None` if the span was ended through its OpenTelemetry
    /// context.
    #[inline]
    pub fn attributes(&mut self) -> Option<&mut AttributeBuffer> {
        self.open_record().map(SpanRecord::attributes)
    }

    /// Sets the status, unless a higher status is set. `Ok` is higher than `Error`, and `Error` is higher than `Unset`.
    pub fn set_status(&mut self, status: Status) {
        if let Some(record) = self.open_record() {
            record.change(|extras, limits| extras.status(status, limits));
        }
    }

    /// Ends the span.
    pub(crate) fn end_at(mut self, at: Timestamp) {
        self.0.finish(|| at);
    }

    /// Ends the span. `tracer` must be the tracer that started it.
    #[inline]
    pub fn end(&mut self, tracer: &RecorderTracer, at: Instant) {
        let Some(mut record) = self.0.0.take() else {
            return;
        };
        if Arc::ptr_eq(tracer.shared(), &record.shared) {
            record.record.ended = Timestamp::Instant(at);
            finish(record, tracer.shared());
        } else {
            drop(OwnedRecord(Some(record)));
        }
    }
}

impl OwnedRecord {
    #[inline(never)]
    fn finish(&mut self, at: impl FnOnce() -> Timestamp) {
        if let Some(mut record) = self.0.take() {
            let shared = Arc::clone(&record.shared);
            record.record.ended = at();
            finish(record, &shared);
        }
    }
}

/// Ends the span of a record whose end time is set.
fn finish(mut pooled: RecordBox, shared: &Shared) {
    pooled.record.end();
    match pooled.take_held() {
        None => {
            pooled.measure();
            shared.queue(pooled, thread_index::current());
        }
        Some(held) => shared.end_held(held, pooled),
    }
}

impl Shared {
    /// Queues an ended span whose size was measured. Returns `false` if there is no room for it.
    #[inline(always)]
    pub(crate) fn queue(&self, pooled: RecordBox, thread: usize) -> bool {
        let bytes = pooled.bytes;
        match self.pipeline.push(thread, pooled, bytes) {
            None => true,
            Some(rejected) => {
                self.reuse(thread, rejected);
                false
            }
        }
    }

    /// Returns a rejected record to the pool.
    #[cold]
    fn reuse(&self, thread: usize, mut rejected: RecordBox) {
        rejected.record.clear();
        self.pipeline.put_spare(thread, rejected);
    }
}

impl Drop for OwnedRecord {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.finish(|| Timestamp::Instant(Instant::now()));
        }
    }
}
