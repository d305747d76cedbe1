//! Fields that are recorded while a span is open.

use std::{error::Error, fmt::Debug};

use tracing::{
    field::{Field, Visit},
    span::Record,
};

use super::{
    options::RecorderLayer,
    scratch,
    span_fields::{self, SpanFields, SpanSettings},
    span_state::SpanState,
};
use crate::{buffer::AttributeBuffer, keys::otel};

/// Records fields of an open span.
///
/// Plain values are written to the locked record. From the first other field on, all fields are written to a buffer of the
/// thread, because `Debug` is code of the application, which may use the span.
#[inline(always)]
pub(super) fn record(layer: &RecorderLayer, id: u64, values: &Record<'_>) {
    let written = layer
        .spans
        .open
        .with(id, |state| write_plain(state, values));
    if let Some(Some(written)) = written {
        record_others(layer, id, values, written);
    }
}

/// Records the fields after the first ones, which are already written.
#[cold]
#[inline(never)]
fn record_others(layer: &RecorderLayer, id: u64, values: &Record<'_>, written: usize) {
    scratch::with_buffer(layer.tracer.shared().limits.text, |buffer| {
        let mut settings = SpanSettings::default();
        values.record(&mut OtherFields {
            fields: SpanFields::new(buffer, &mut settings),
            skipped: written,
        });
        layer.change(id, |record| {
            record.append_attributes(buffer);
            settings.apply_late(record, buffer);
        });
    });
}

/// Writes plain values up to the first other one, or one without room. Returns the number of written values, or `None` if all
/// are written or none is recorded.
#[inline(always)]
fn write_plain(state: &mut SpanState, values: &Record<'_>) -> Option<usize> {
    if !state.accepts_fields() {
        return None;
    }
    let record = state.record()?;
    let mut plain = PlainFields {
        room: record.attribute_room(),
        attributes: &mut record.attributes,
        written: 0,
        is_stopped: false,
    };
    values.record(&mut plain);
    plain.is_stopped.then_some(plain.written)
}

/// Writes plain values to a locked record.
struct PlainFields<'a> {
    attributes: &'a mut AttributeBuffer,
    room: usize,
    written: usize,
    is_stopped: bool,
}

impl PlainFields<'_> {
    /// Returns where to write a plain value.
    #[inline(always)]
    fn next(&mut self) -> Option<&mut AttributeBuffer> {
        self.is_stopped |= self.written >= self.room;
        if self.is_stopped {
            return None;
        }
        self.written += 1;
        Some(self.attributes)
    }
}

impl Visit for PlainFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.is_stopped |= field.name().starts_with(otel::PREFIX);
        if let Some(attributes) = self.next() {
            attributes.text(field.name(), value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(attributes) = self.next() {
            attributes.int(field.name(), value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some(attributes) = self.next() {
            span_fields::write_u64(attributes, field.name(), value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(attributes) = self.next() {
            attributes.bool(field.name(), value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if let Some(attributes) = self.next() {
            attributes.float(field.name(), value);
        }
    }

    fn record_error(&mut self, _: &Field, _: &(dyn Error + 'static)) {
        self.is_stopped = true;
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {
        self.is_stopped = true;
    }
}

/// Writes all fields after the first ones.
struct OtherFields<'a> {
    fields: SpanFields<'a>,
    /// The number of fields that are still to be skipped.
    skipped: usize,
}

impl<'a> OtherFields<'a> {
    fn next(&mut self) -> Option<&mut SpanFields<'a>> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        Some(&mut self.fields)
    }
}

impl Visit for OtherFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(fields) = self.next() {
            fields.record_str(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Some(fields) = self.next() {
            fields.record_i64(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let Some(fields) = self.next() {
            fields.record_u64(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Some(fields) = self.next() {
            fields.record_bool(field, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if let Some(fields) = self.next() {
            fields.record_f64(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if let Some(fields) = self.next() {
            fields.record_error(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some(fields) = self.next() {
            fields.record_debug(field, value);
        }
    }
}
