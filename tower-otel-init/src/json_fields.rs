//! The fields of spans in JSON log lines.
//!
//! The fields of a span are formatted when they are recorded, for later log lines. `JsonFields` of `tracing-subscriber` builds
//! a map and a text per span, and parses the whole text whenever a field is recorded late. This format appends to the text.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// Formats the fields of a span as a JSON object.
pub(crate) struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut object = ObjectText::new();
        fields.record(&mut object);
        writer.write_str(&object.close())
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut object = ObjectText::open(std::mem::take(&mut current.fields));
        fields.record(&mut object);
        current.fields = object.close();
        Ok(())
    }
}

/// The text of an object whose members all end with a comma, without its last brace.
struct ObjectText {
    text: String,
    /// Whether a key can already have a value.
    is_late: bool,
}

impl ObjectText {
    fn new() -> Self {
        Self {
            text: "{".to_owned(),
            is_late: false,
        }
    }

    /// Removes the last brace of an object, so that members can be added.
    fn open(mut text: String) -> Self {
        text.pop();
        match text.len() {
            0 => text.push('{'),
            1 => {}
            _ => text.push(','),
        }
        Self {
            text,
            is_late: true,
        }
    }

    fn close(mut self) -> String {
        if self.text.ends_with(',') {
            self.text.pop();
        }
        self.text.push('}');
        self.text
    }

    /// Writes a key. An earlier member with this key is removed first.
    fn key(&mut self, name: &str) -> &mut String {
        let text = &mut self.text;
        let end = text.len();
        text.push('"');
        escape(text, name);
        text.push_str("\":");
        if self.is_late {
            remove_member(text, end);
        }
        text
    }

    fn write(&mut self, name: &str, value: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = write!(self.key(name), "{value},");
    }

    fn write_text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let text = self.key(name);
        write_string(text, value);
        text.push(',');
    }
}

impl Visit for ObjectText {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            // `Debug` writes an integer with a decimal point.
            self.write(field.name(), format_args!("{value:?}"));
        } else {
            self.write(field.name(), format_args!("null"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field.name(), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field.name(), format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = self.key(field.name());
        text.push('"');
        escape(text, value);
        text.push_str("\",");
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.write(field.name(), format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        // These are fields of records of the crate `log`.
        if !name.starts_with("log.") {
            let name = name.strip_prefix("r#").unwrap_or(name);
            self.write_text(name, format_args!("{value:?}"));
        }
    }
}

/// Removes an earlier member with the same key as the one that starts at `end`, if any.
fn remove_member(text: &mut String, end: usize) {
    let (members, key) = text.split_at(end);
    // Quotes in texts are escaped, so a quoted text between a separator and a colon is always a key.
    let mut found = members.match_indices(key).map(|(start, _)| start);
    let start = found.find(|start| {
        let before = members.get(..*start).unwrap_or_default();
        before.ends_with(['{', ','])
    });
    if let Some(start) = start {
        let length = member_length(members.get(start..).unwrap_or_default());
        text.replace_range(start..start + length, "");
    }
}

/// Returns the length of the first member of a text, with its comma.
fn member_length(members: &str) -> usize {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut depth = 0_usize;
    let end = members.bytes().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'[' if !is_quoted => depth += 1,
            b']' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b',' && !is_quoted && depth == 0
    });
    end.map_or(members.len(), |end| end + 1)
}

/// Writes a text as a JSON string.
fn write_string(text: &mut String, value: fmt::Arguments<'_>) {
    text.push('"');
    // If a `Debug` implementation fails, the text that it has written remains.
    let _ = Escaped(text).write_fmt(value);
    text.push('"');
}

/// A writer that escapes text for a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        escape(self.0, part);
        Ok(())
    }
}

fn escape(text: &mut String, value: &str) {
    let mut rest = value;
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(special) {
        let (plain, escaped) = rest.split_at(at);
        text.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next() {
            Some(quoted @ ('"' | '\\')) => text.extend(['\\', quoted]),
            // Writing to a string does not fail.
            Some(control) => drop(write!(text, "\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = chars.as_str();
    }
    text.push_str(rest);
}

#[cfg(test)]
#[path = "json_fields_tests.rs"]
mod tests;
