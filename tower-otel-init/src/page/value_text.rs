//! The text of an attribute's value, in titles, in the search and for lists of pairs.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use serde_json::Value;

/// The maximum number of bytes of the text of a value that is not a string.
pub(crate) const MAX_TEXT: usize = 64 << 10;

/// The largest integer that JavaScript represents exactly.
const MAX_EXACT: u64 = 1 << 53;

/// Returns a string unchanged. Other values become a text of at most `max` bytes without escapes. A longer text is cut and ends
/// with `…`.
pub(crate) fn value_text(value: &AnyValue, max: usize) -> Cow<'_, str> {
    match &value.value {
        Some(Any::StringValue(text)) => Cow::Borrowed(text),
        Some(Any::KvlistValue(list)) => bounded(max, |text| text.pairs(&list.values)).into(),
        other => bounded(max, |text| text.add(other.as_ref())).into(),
    }
}

/// Returns a boolean or a number. A number that JavaScript does not represent exactly becomes a text.
pub(crate) fn plain(value: &Any) -> Option<Value> {
    match value {
        Any::BoolValue(value) => Some(Value::from(*value)),
        Any::IntValue(value) if value.unsigned_abs() <= MAX_EXACT => Some(Value::from(*value)),
        Any::IntValue(value) => Some(Value::from(value.to_string())),
        Any::DoubleValue(value) => Some(float(*value)),
        _ => None,
    }
}

/// Returns a number, or a text if JSON has no such number.
pub(crate) fn float(value: f64) -> Value {
    match value.is_finite() {
        true => Value::from(value),
        false => Value::from(value.to_string()),
    }
}

/// A text with a maximum length.
struct BoundedText {
    text: String,
    max: usize,
}

fn bounded(max: usize, write: impl FnOnce(&mut BoundedText) -> fmt::Result) -> String {
    let text = String::new();
    let mut bounded = BoundedText { text, max };
    if write(&mut bounded).is_err() {
        bounded.text.push('…');
    }
    bounded.text
}

impl fmt::Write for BoundedText {
    /// Returns an error once the text is cut.
    fn write_str(&mut self, added: &str) -> fmt::Result {
        let mut end = self.max.saturating_sub(self.text.len()).min(added.len());
        while !added.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(added.get(..end).unwrap_or_default());
        match end == added.len() {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

impl BoundedText {
    /// Adds a value of a list. The decoder limits its depth.
    fn add(&mut self, value: Option<&Any>) -> fmt::Result {
        match value {
            Some(Any::StringValue(text)) => self.write_str(text),
            Some(Any::ArrayValue(array)) => {
                self.write_char('[')?;
                self.separated(&array.values, ",", |text, each| match &each.value {
                    Some(Any::StringValue(own)) => write!(text, "\"{own}\""),
                    other => text.add(other.as_ref()),
                })?;
                self.write_char(']')
            }
            Some(Any::KvlistValue(list)) => {
                self.write_char('{')?;
                self.pairs(&list.values)?;
                self.write_char('}')
            }
            Some(Any::BytesValue(bytes)) => write!(self, "{} bytes", bytes.len()),
            other => match other.and_then(plain) {
                Some(Value::String(text)) => self.write_str(&text),
                Some(value) => write!(self, "{value}"),
                None => Ok(()),
            },
        }
    }

    fn pairs(&mut self, pairs: &[KeyValue]) -> fmt::Result {
        self.separated(pairs, ", ", |text, pair| {
            write!(text, "{}=", pair.key)?;
            text.add(pair.value.as_ref().and_then(|value| value.value.as_ref()))
        })
    }

    fn separated<T>(
        &mut self,
        items: &[T],
        separator: &str,
        add: impl Fn(&mut Self, &T) -> fmt::Result,
    ) -> fmt::Result {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.write_str(separator)?;
            }
            add(self, item)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::test_span::{attribute, list, text};

    #[test]
    fn a_text_is_cut_between_characters_and_marked() {
        let value = list(vec![text("a", &"ä".repeat(10))]);
        for (max, expected) in [(5, "a=ä…"), (22, "a=ääääääääää"), (0, "…")] {
            let value = AnyValue {
                value: Some(value.clone()),
            };
            assert_eq!(value_text(&value, max), expected);
        }
    }

    #[test]
    fn lists_in_lists_are_in_braces_and_nothing_is_escaped() {
        let inner = list(vec![
            text("say", "\"hi\" \\"),
            attribute("n", Any::IntValue(2)),
        ]);
        let value = Some(list(vec![attribute("a", inner), text("b", "\"")]));
        let found = AnyValue { value };
        assert_eq!(value_text(&found, MAX_TEXT), "a={say=\"hi\" \\, n=2}, b=\"");
    }
}
