//! Fields that are recorded while a span is open.

use std::{error::Error, fmt::Debug};

use tracing::{
    field::{Field, Visit},
    span::Record,
};

use super::{
    options::RecorderLayer,
    scratch,
    span_fields::{SpanFields, SpanSettings},
    span_state::SpanState,
};
use crate::keys::otel;

/// Writes fields that are recorded after the start of a span.
///
/// Plain values are written to the locked record. From the first other field on, all fields are written to a buffer of the
/// thread, because `Debug` is code of the application, which may use the span.
pub(super) struct LateFields<'a> {
    fields: SpanFields<'a>,
    /// The number of fields that are already written.
    skipped: usize,
    plain_only: bool,
    written: usize,
    is_stopped: bool,
}

impl LateFields<'_> {
    /// Records fields of an open span.
    pub(super) fn record(layer: &RecorderLayer, id: u64, values: &Record<'_>) {
        let written = layer
            .spans
            .open
            .with(id, |state| write_plain(state, values));
        let Some(Some(written)) = written else { return };
        scratch::with_buffer(layer.tracer.shared().limits.text, |buffer| {
            let mut settings = SpanSettings::default();
            let mut late = LateFields {
                fields: SpanFields::new(buffer, &mut settings),
                skipped: written,
                plain_only: false,
                written: 0,
                is_stopped: false,
            };
            values.record(&mut late);
            layer.change(id, |record| {
                record.append_attributes(buffer);
                settings.apply_late(record, buffer);
            });
        });
    }

    /// Returns whether a field is written.
    fn takes(&mut self, is_plain: bool) -> bool {
        if self.skipped > 0 {
            self.skipped -= 1;
            return false;
        }
        self.is_stopped |= self.plain_only && !is_plain;
        self.written += usize::from(!self.is_stopped);
        !self.is_stopped
    }
}

/// Writes plain values up to the first other one. Returns the number of written values, or `None` if all are plain.
fn write_plain(state: &mut SpanState, values: &Record<'_>) -> Option<usize> {
    if !state.accepts_fields() {
        return None;
    }
    let record = state.record()?;
    if values.len() > record.attribute_room() {
        return Some(0);
    }
    let mut no_settings = SpanSettings::default();
    let mut late = LateFields {
        fields: SpanFields::new(&mut record.attributes, &mut no_settings),
        skipped: 0,
        plain_only: true,
        written: 0,
        is_stopped: false,
    };
    values.record(&mut late);
    late.is_stopped.then_some(late.written)
}

impl Visit for LateFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.takes(!field.name().starts_with(otel::PREFIX)) {
            self.fields.record_str(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if self.takes(true) {
            self.fields.record_i64(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.takes(true) {
            self.fields.record_u64(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if self.takes(true) {
            self.fields.record_bool(field, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if self.takes(true) {
            self.fields.record_f64(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.takes(false) {
            self.fields.record_error(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.takes(false) {
            self.fields.record_debug(field, value);
        }
    }
}
