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

/// A span that has started and not ended. Dropping it ends it.
///
/// Its owner writes to the record without a lock.
#[derive(Debug)]
pub struct ActiveSpan(Option<RecordBox>);

impl ActiveSpan {
    pub(crate) const fn new(record: RecordBox) -> Self {
        Self(Some(record))
    }

    /// Returns the record, unless the span was ended through its OpenTelemetry context.
    pub(crate) fn open_record(&mut self) -> Option<&mut SpanRecord> {
        let record = &mut self.0.as_mut()?.record;
        (!record.changes.has_ended()).then_some(record)
    }

    /// Returns the record. The span does not end.
    pub(crate) fn into_record(mut self) -> Option<RecordBox> {
        self.0.take()
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
        self.finish(|| at);
    }

    #[inline(never)]
    fn finish(&mut self, at: impl FnOnce() -> Timestamp) {
        if let Some(mut record) = self.0.take() {
            let shared = Arc::clone(&record.shared);
            record.record.ended = at();
            finish(record, &shared);
        }
    }

    /// Ends the span. `tracer` must be the tracer that started it.
    #[inline]
    pub fn end(mut self, tracer: &RecorderTracer, at: Instant) {
        let Some(mut record) = self.0.take() else {
            return;
        };
        if Arc::ptr_eq(tracer.shared(), &record.shared) {
            record.record.ended = Timestamp::Instant(at);
            finish(record, tracer.shared());
        } else {
            drop(Self(Some(record)));
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
        let Some(mut rejected) = self.pipeline.push(thread, pooled, bytes) else {
            return true;
        };
        rejected.record.clear();
        self.pipeline.put_spare(thread, rejected);
        false
    }
}

impl Drop for ActiveSpan {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.finish(|| Timestamp::Instant(Instant::now()));
        }
    }
}
