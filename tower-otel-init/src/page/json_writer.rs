//! Writes JSON without a tree of values, which would cost several times as much.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use serde_json::Value;

use crate::page::value_text::{MAX_TEXT, plain, value_text};

/// A writer of JSON to memory, which does not fail.
#[derive(Debug, Default)]
pub(crate) struct JsonWriter(pub(crate) Vec<u8>);

impl JsonWriter {
    /// Writes an object.
    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.0.push(b'{');
        write(self);
        self.0.push(b'}');
    }

    /// Writes the name of a field. The name must not need escapes.
    pub(crate) fn field(&mut self, name: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(crate) fn text_field(&mut self, name: &str, text: &str) {
        self.field(name);
        self.text(text);
    }

    pub(crate) fn value_field(&mut self, name: &str, value: &Value) {
        self.field(name);
        self.value(value);
    }

    pub(crate) fn text(&mut self, text: &str) {
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    fn value(&mut self, value: &Value) {
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    pub(crate) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        self.0.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    /// Writes attributes as pairs of a key and a value.
    pub(crate) fn attributes(&mut self, attributes: &[KeyValue]) {
        self.array(attributes, |json, attribute| {
            json.0.push(b'[');
            json.text(&attribute.key);
            json.0.push(b',');
            json.any(attribute.value.as_ref());
            json.0.push(b']');
        });
    }

    /// Writes an OTLP value. The decoder limits its depth.
    fn any(&mut self, value: Option<&AnyValue>) {
        match value.and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => self.text(text),
            Some(Any::ArrayValue(array)) => {
                self.array(&array.values, |json, each| json.any(Some(each)));
            }
            other => match (other.and_then(plain), value) {
                (Some(plain), _) => self.value(&plain),
                (None, Some(value)) => self.text(&value_text(value, MAX_TEXT)),
                (None, None) => self.text(""),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::ArrayValue;
    use serde_json::json;

    use super::*;
    use crate::page::test_span::{attribute, list, nested_quotes, text};

    fn array(values: Vec<Any>) -> Any {
        let values = values.into_iter().map(Some);
        let values = values.map(|value| AnyValue { value }).collect();
        Any::ArrayValue(ArrayValue { values })
    }

    #[test]
    fn values_are_json_and_numbers_that_javascript_does_not_have_are_texts() {
        let list = list(vec![text("a", "x"), attribute("b", Any::IntValue(2))]);
        for (value, expected, text) in [
            (Any::StringValue("a\"b".to_owned()), json!("a\"b"), "a\"b"),
            (Any::BoolValue(true), json!(true), "true"),
            (Any::IntValue(-5), json!(-5), "-5"),
            (
                Any::IntValue(i64::MAX),
                json!("9223372036854775807"),
                "9223372036854775807",
            ),
            (Any::DoubleValue(f64::NAN), json!("NaN"), "NaN"),
            (Any::DoubleValue(0.5), json!(0.5), "0.5"),
            (
                array(vec![Any::IntValue(1), Any::StringValue("b".to_owned())]),
                json!([1, "b"]),
                "[1,\"b\"]",
            ),
            (list, json!("a=x, b=2"), "a=x, b=2"),
            (Any::BytesValue(vec![0; 3]), json!("3 bytes"), "3 bytes"),
        ] {
            let value = AnyValue { value: Some(value) };
            let mut json = JsonWriter::default();
            json.any(Some(&value));
            let found: Value = serde_json::from_slice(&json.0).unwrap();
            let found = (found, value_text(&value, MAX_TEXT).into_owned());
            assert_eq!(found, (expected, text.to_owned()));
        }
    }

    #[test]
    fn thirty_lists_in_lists_of_quotes_are_as_long_as_their_text() {
        let quotes = "\"".repeat(100);
        let expected = format!("k={}{quotes}{}", "{k=".repeat(29), "}".repeat(29));
        let value = AnyValue {
            value: Some(nested_quotes(30)),
        };
        let mut json = JsonWriter::default();
        json.any(Some(&value));
        assert!(json.0.len() < 500, "{}", json.0.len());
        let found: Value = serde_json::from_slice(&json.0).unwrap();
        assert_eq!(found, expected);
    }
}
