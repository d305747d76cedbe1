//! The fields of a span: attributes, and `otel.*` fields.

use std::{error::Error, fmt::Debug};

use opentelemetry::trace::{SpanKind, Status};
use tracing::field::{Field, Visit};

use super::error;
use crate::{
    buffer::AttributeBuffer,
    keys::otel,
    limits::{NAME_LENGTH, cut},
    record::{Name, SpanRecord},
    texts::TextRange,
};

/// Writes the fields of a span to a buffer.
#[derive(Debug)]
pub(super) struct SpanFields<'a> {
    attributes: &'a mut AttributeBuffer,
    settings: &'a mut SpanSettings,
}

/// The settings in the `otel.*` fields of a span.
#[derive(Debug, Default)]
pub(super) struct SpanSettings {
    name: Option<TextRange>,
    kind: Option<SpanKind>,
    status: Option<StatusCode>,
    description: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum StatusCode {
    Ok,
    Error,
}

impl<'a> SpanFields<'a> {
    /// Writes the `otel.*` fields to `settings`. Ranges refer to the buffer.
    pub(super) const fn new(
        attributes: &'a mut AttributeBuffer,
        settings: &'a mut SpanSettings,
    ) -> Self {
        Self {
            attributes,
            settings,
        }
    }

    /// Handles an `otel.*` field. Returns `false` for other fields.
    #[inline(always)]
    fn set(&mut self, field: &Field, value: &str) -> bool {
        field.name().starts_with(otel::PREFIX) && self.set_otel(field.name(), value)
    }

    #[inline(never)]
    fn set_otel(&mut self, key: &str, value: &str) -> bool {
        match key {
            otel::NAME => self.settings.name = self.attributes.texts().store_name(value),
            otel::KIND => self.settings.kind = parse_kind(value),
            otel::STATUS_CODE => self.settings.status = parse_span_status(value),
            otel::STATUS_DESCRIPTION => {
                self.settings.description = Some(cut(value, NAME_LENGTH).to_owned());
            }
            _ => return false,
        }
        true
    }
}

impl SpanSettings {
    /// Applies the settings to the record whose buffer the fields were written to.
    #[inline]
    pub(super) fn apply(&mut self, record: &mut SpanRecord) {
        if let Some(name) = self.name {
            record.name = Name::Text(name);
        }
        if let Some(kind) = self.kind.take() {
            record.kind = kind;
        }
        if self.status.is_some() || self.description.is_some() {
            self.apply_status(record);
        }
    }

    /// Applies the settings to the record of an open span. The fields were written to `buffer`.
    pub(super) fn apply_late(&mut self, record: &mut SpanRecord, buffer: &AttributeBuffer) {
        if let Some(name) = self.name.take() {
            // The texts of the record would grow with each new name.
            let name = buffer.stored(name).to_owned();
            record.change(|extras, limits| extras.name(name.into(), limits));
        }
        self.apply(record);
    }

    #[inline(never)]
    fn apply_status(&mut self, record: &mut SpanRecord) {
        match (self.status, self.description.take()) {
            (None, None) => {}
            (Some(StatusCode::Ok), _) => {
                record.change(|extras, limits| extras.status(Status::Ok, limits));
            }
            (_, description) => {
                let status = Status::error(description.unwrap_or_default());
                record.change(|extras, limits| extras.status(status, limits));
            }
        }
    }
}

/// Writes an integer, or a text if it does not fit in `i64`.
pub(super) fn write_u64(attributes: &mut AttributeBuffer, key: &'static str, value: u64) {
    match i64::try_from(value) {
        Ok(value) => attributes.int(key, value),
        Err(_) => attributes.debug(key, &value),
    }
}

/// Parses the kind of a span, ignoring letter case.
fn parse_kind(text: &str) -> Option<SpanKind> {
    // The most frequent kind.
    if text == "server" {
        return Some(SpanKind::Server);
    }
    let kinds = [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ];
    let mut kinds = kinds.into_iter();
    let (_, kind) = kinds.find(|(name, _)| text.eq_ignore_ascii_case(name))?;
    Some(kind)
}

fn parse_span_status(text: &str) -> Option<StatusCode> {
    let is = |name| text.eq_ignore_ascii_case(name);
    if is("ok") {
        Some(StatusCode::Ok)
    } else {
        is("error").then_some(StatusCode::Error)
    }
}

impl Visit for SpanFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.set(field, value) {
            self.attributes.text(field.name(), value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.int(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        write_u64(self.attributes, field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.bool(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.float(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        error::write(self.attributes, field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        if !name.starts_with(otel::PREFIX) {
            if let Some(text) = self.attributes.texts().store_debug(value) {
                self.attributes.range(name, text);
            }
        } else if let Some(text) = self.attributes.texts().store_debug_name(value) {
            let value = self.attributes.stored(text).to_owned();
            if !self.set(field, &value) {
                self.attributes.text(name, &value);
            }
        }
    }
}
