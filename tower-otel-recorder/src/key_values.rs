//! The size of attributes of the OpenTelemetry API, and cutting of their values.

use std::mem;

use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::limits::cut;

/// Cuts the texts of an attribute to a number of characters, and returns the number of bytes of the attribute.
///
/// Key and texts always count in full, also static ones, because they are exported.
pub(crate) fn cut_attribute(attribute: &mut KeyValue, length: usize) -> usize {
    attribute.key.as_str().len() + cut_value(&mut attribute.value, length)
}

/// Cuts all attributes like [`cut_attribute`], and returns the number of their bytes, including those of the vector.
pub(crate) fn cut_attributes(attributes: &mut Vec<KeyValue>, length: usize) -> usize {
    attributes.shrink_to_fit();
    let texts = attributes
        .iter_mut()
        .map(|attribute| cut_attribute(attribute, length));
    let texts = texts.fold(0, usize::saturating_add);
    texts.saturating_add(attributes.len() * size_of::<KeyValue>())
}

fn cut_value(value: &mut Value, length: usize) -> usize {
    match value {
        Value::String(text) => cut_text(text, length),
        Value::Array(Array::String(texts)) => {
            let elements = texts.capacity() * size_of::<StringValue>();
            let texts = texts.iter_mut().map(|text| cut_text(text, length));
            texts.fold(elements, usize::saturating_add)
        }
        Value::Array(Array::Bool(values)) => values.capacity(),
        Value::Array(Array::I64(values)) => values.capacity() * size_of::<i64>(),
        Value::Array(Array::F64(values)) => values.capacity() * size_of::<f64>(),
        _ => 0,
    }
}

fn cut_text(text: &mut StringValue, length: usize) -> usize {
    let full = text.as_str();
    let part = cut(full, length);
    let len = part.len();
    if len < full.len() {
        let part = StringValue::from(part.to_owned());
        drop(mem::replace(text, part));
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(value: impl Into<Value>, length: usize) -> (usize, Value) {
        let mut attribute = KeyValue::new("key", value);
        let size = cut_attribute(&mut attribute, length);
        (size, attribute.value)
    }

    #[test]
    fn texts_are_cut_and_everything_is_counted() {
        assert_eq!(cut("abcd", 3), (6, "abc".into()));
        assert_eq!(cut("abcd".to_owned(), 4), (7, "abcd".into()));
        assert_eq!(cut(7, 1), (3, 7.into()));
        let texts: Vec<StringValue> = vec!["abcd".into(), "e".into()];
        let expected: Vec<StringValue> = vec!["abc".into(), "e".into()];
        let elements = 2 * size_of::<StringValue>();
        let expected = Value::Array(expected.into());
        assert_eq!(
            cut(Value::Array(texts.into()), 3),
            (3 + elements + 4, expected)
        );
        assert_eq!(cut(Value::Array(vec![1_i64, 2].into()), 3).0, 19);
        assert_eq!(cut(Value::Array(vec![true].into()), 3).0, 4);
        assert_eq!(cut(Value::Array(vec![0.5].into()), 3).0, 11);
    }

    #[test]
    fn capacity_that_is_not_used_is_freed() {
        let mut attributes = Vec::with_capacity(10_000);
        attributes.push(KeyValue::new("key", "abc"));
        let size = cut_attributes(&mut attributes, 3);
        assert_eq!(size, 6 + size_of::<KeyValue>());
        assert!(attributes.capacity() < 10_000);
    }
}
