//! The fields of spans in JSON log lines.
//!
//! Most spans have no log line, so their values are stored as they are, and formatted when a line is written.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

use crate::json_text::{write_key, write_string};

/// The initial capacity in bytes, which is enough for the values of a request's span.
const USUAL_LENGTH: usize = 384;

/// The length in bytes from which values that are replaced by later ones are removed.
const COMPACT_LENGTH: usize = 4096;

/// Stores the values of a span for [`write_span`].
pub(crate) struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut values = Values(String::with_capacity(USUAL_LENGTH));
        fields.record(&mut values);
        writer.write_str(&values.0)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut values = Values(std::mem::take(&mut current.fields));
        fields.record(&mut values);
        values.limit();
        current.fields = values.0;
        Ok(())
    }
}

/// Writes a span as a JSON object: the values that [`JsonFields`] has stored, and its name.
pub(crate) fn write_span(text: &mut String, values: &str, metadata: &tracing::Metadata<'_>) {
    text.push('{');
    for value in latest(values).iter().rev() {
        let Some(field) = metadata.fields().iter().nth(value.field) else {
            continue;
        };
        let name = field.name();
        match value.kind {
            Kind::Json => {
                write_key(text, name);
                text.push_str(value.text);
            }
            Kind::Text => {
                write_key(text, name);
                write_string(text, value.text);
            }
            // These are fields of records of the crate `log`.
            Kind::Debug if name.starts_with("log.") => continue,
            Kind::Debug => {
                write_key(text, name.strip_prefix("r#").unwrap_or(name));
                write_string(text, value.text);
            }
        }
        text.push(',');
    }
    write_key(text, "name");
    write_string(text, metadata.name());
    text.push('}');
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Kind {
    Json,
    Text,
    Debug,
}

impl Kind {
    const fn as_char(self) -> char {
        match self {
            Self::Json => 'j',
            Self::Text => 't',
            Self::Debug => 'd',
        }
    }

    const fn from_char(char: char) -> Option<Self> {
        match char {
            'j' => Some(Self::Json),
            't' => Some(Self::Text),
            'd' => Some(Self::Debug),
            _ => None,
        }
    }
}

/// A stored value.
struct StoredValue<'v> {
    text: &'v str,
    kind: Kind,
    /// The index of the field in its span.
    field: usize,
}

/// Returns the latest value of each field, the last one first.
fn latest(values: &str) -> Vec<StoredValue<'_>> {
    let mut latest: Vec<StoredValue<'_>> = Vec::new();
    let mut rest = values;
    while let Some((value, before)) = split_last(rest) {
        if latest.iter().all(|later| later.field != value.field) {
            latest.push(value);
        }
        rest = before;
    }
    latest
}

/// Splits the last value from those before it. See [`Values::end`].
fn split_last(values: &str) -> Option<(StoredValue<'_>, &str)> {
    let mut chars = values.chars();
    let kind = Kind::from_char(chars.next_back()?)?;
    let field = number(&mut chars)?;
    let length = number(&mut chars)?;
    let rest = chars.as_str();
    let (before, text) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    Some((StoredValue { text, kind, field }, before))
}

/// Reads a number from its end.
fn number(chars: &mut std::str::Chars<'_>) -> Option<usize> {
    let mut number = 0;
    loop {
        let digit = usize::try_from(u32::from(chars.next_back()?)).ok()?;
        number = (number << DIGIT_BITS) | (digit & DIGIT_MASK);
        if digit > DIGIT_MASK {
            return Some(number);
        }
    }
}

const DIGIT_BITS: u32 = 6;
const DIGIT_MASK: usize = (1 << DIGIT_BITS) - 1;

/// Values, each followed by its length, its field and its kind.
struct Values(String);

impl Values {
    fn push(&mut self, field: &Field, kind: Kind, value: &str) {
        self.0.push_str(value);
        self.end(field, kind, value.len());
    }

    fn format(&mut self, field: &Field, kind: Kind, value: fmt::Arguments<'_>) {
        let start = self.0.len();
        // A failed `Debug` leaves the text that it has written.
        let _ = self.0.write_fmt(value);
        self.end(field, kind, self.0.len() - start);
    }

    fn end(&mut self, field: &Field, kind: Kind, length: usize) {
        self.number(length);
        self.number(field.index());
        self.0.push(kind.as_char());
    }

    /// Writes a number as ASCII characters of six bits. The character with the lowest bits comes first, and has the seventh bit
    /// set.
    fn number(&mut self, number: usize) {
        let mut digit = (number & DIGIT_MASK) | (DIGIT_MASK + 1);
        let mut rest = number >> DIGIT_BITS;
        loop {
            self.0
                .push(char::from(u8::try_from(digit).unwrap_or_default()));
            if rest == 0 {
                return;
            }
            digit = rest & DIGIT_MASK;
            rest >>= DIGIT_BITS;
        }
    }

    /// Removes values that are replaced, so that a span whose fields are recorded again and again does not grow.
    fn limit(&mut self) {
        if self.0.len() < COMPACT_LENGTH {
            return;
        }
        let mut compact = Self(String::new());
        for value in latest(&self.0).iter().rev() {
            compact.0.push_str(value.text);
            compact.number(value.text.len());
            compact.number(value.field);
            compact.0.push(value.kind.as_char());
        }
        *self = compact;
    }
}

impl Visit for Values {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            // `Debug` writes an integer with a decimal point.
            self.format(field, Kind::Json, format_args!("{value:?}"));
        } else {
            self.push(field, Kind::Json, "null");
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.format(field, Kind::Json, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.format(field, Kind::Json, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Kind::Json, if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Kind::Text, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.format(field, Kind::Json, format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.format(field, Kind::Debug, format_args!("{value:?}"));
    }
}

#[cfg(test)]
#[path = "json_fields_tests.rs"]
mod tests;
