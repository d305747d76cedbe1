//! The fields of an event.

use std::{error::Error, fmt::Debug};

use tower_otel_semconv::attribute::EXCEPTION_MESSAGE;
use tracing::{
    Event,
    field::{Field, Visit},
};

use super::error;
use crate::{
    buffer::AttributeBuffer,
    events::{EventName, LogOrigin},
    keys::{ERROR, MESSAGE, log},
    texts::TextRange,
};

/// The name of an event with an error and without a message.
///
/// See [exceptions in events](https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/).
const EXCEPTION: &str = "exception";

/// Writes the fields of an event to a buffer.
#[derive(Debug)]
pub(super) struct EventFields<'a> {
    attributes: &'a mut AttributeBuffer,
    is_log: bool,
    log: LogOrigin,
    message: Option<TextRange>,
    /// The text of the field `error`.
    error: Option<TextRange>,
    /// The index of the attribute `error`, if it is renamed to `exception.message` in an event without a message.
    error_index: Option<usize>,
}

impl<'a> EventFields<'a> {
    pub(super) fn new(event: &Event<'_>, attributes: &'a mut AttributeBuffer) -> Self {
        Self {
            attributes,
            is_log: event.metadata().target() == log::TARGET_OF_EVENTS,
            log: LogOrigin::default(),
            message: None,
            error: None,
            error_index: None,
        }
    }

    /// Returns the name of the event: its message, `exception`, or `default`.
    pub(super) fn name(&mut self, default: &'static str) -> EventName {
        match (self.message, self.error) {
            (Some(message), _) => EventName::Text(message),
            (None, None) => EventName::Static(default),
            (None, Some(_)) => {
                if let Some(index) = self.error_index {
                    self.attributes.rename(index, EXCEPTION_MESSAGE);
                }
                EventName::Static(EXCEPTION)
            }
        }
    }

    /// Returns the text of the field `error`, if the event has no message.
    pub(super) fn error(&self) -> Option<&str> {
        if self.message.is_some() {
            return None;
        }
        self.error.map(|error| self.attributes.stored(error))
    }

    pub(super) const fn log_origin(&self) -> LogOrigin {
        self.log
    }

    fn text(&mut self, field: &Field, text: TextRange) {
        match field.name() {
            MESSAGE => self.message = Some(text),
            ERROR => {
                self.error = Some(text);
                self.error_index = Some(self.attributes.len());
                self.attributes.range(ERROR, text);
            }
            name => match name.strip_prefix(log::PREFIX) {
                Some(log::TARGET) if self.is_log => self.log.target = Some(text),
                Some(log::FILE) if self.is_log => self.log.file = Some(text),
                Some(_) if self.is_log => {}
                _ => self.attributes.range(name, text),
            },
        }
    }

    fn other(&mut self, field: &Field, value: &dyn Debug, add: impl FnOnce(&mut AttributeBuffer)) {
        if field.name() == MESSAGE {
            self.message = self.attributes.texts().store_debug_name(value);
        } else {
            add(self.attributes);
        }
    }
}

impl Visit for EventFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let texts = self.attributes.texts();
        let text = match field.name() {
            MESSAGE => texts.store_name(value),
            _ => texts.store(value),
        };
        if let Some(text) = text {
            self.text(field, text);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.other(field, &value, |attributes| {
            attributes.int(field.name(), value);
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let Ok(int) = i64::try_from(value) else {
            return self.record_debug(field, &value);
        };
        match field.name().strip_prefix(log::PREFIX) {
            Some(log::LINE) if self.is_log => self.log.line = Some(int),
            _ => self.record_i64(field, int),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.other(field, &value, |attributes| {
            attributes.bool(field.name(), value);
        });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.other(field, &value, |attributes| {
            attributes.float(field.name(), value);
        });
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let message = error::write(self.attributes, field.name(), value);
        if field.name() == ERROR {
            self.error = message;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let texts = self.attributes.texts();
        let text = match field.name() {
            MESSAGE => texts.store_debug_name(value),
            _ => texts.store_debug(value),
        };
        if let Some(text) = text {
            self.text(field, text);
        }
    }
}
