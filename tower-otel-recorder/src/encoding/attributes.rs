//! Attributes of OTLP, up to a limit.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto>

use std::{fmt::Write, net::IpAddr};

use opentelemetry::{Array, KeyValue, Value};

use crate::{
    buffer::CompactAttribute,
    encoding::protobuf::{BYTES, VARINT, Writer, short_tag},
};

/// The fields of `KeyValue`.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// The fields of `AnyValue`. Each is written even if it is 0 or empty, because it determines the type.
const STRING: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const DOUBLE: u32 = 4;
const ARRAY: u32 = 5;

/// The field of `ArrayValue`.
const VALUES: u32 = 1;

/// The maximum length of a message whose length has one byte, and the maximum field number whose tag has one byte.
const MAX_SHORT: usize = 0x7f;
const MAX_SHORT_FIELD: u32 = 15;

/// Writes attributes up to a limit and counts the others.
#[derive(Debug)]
pub(crate) struct AttributeWriter<'w> {
    writer: &'w mut Writer,
    field: u32,
    left: u32,
    dropped: u32,
}

impl<'w> AttributeWriter<'w> {
    /// Writes each attribute to the field of this number.
    pub(crate) const fn new(writer: &'w mut Writer, field: u32, limit: u32) -> Self {
        Self {
            writer,
            field,
            left: limit,
            dropped: 0,
        }
    }

    /// Returns the number of attributes over the limit.
    pub(crate) const fn dropped(&self) -> u32 {
        self.dropped
    }

    #[inline]
    fn attribute(&mut self, key: &str, write: impl FnOnce(&mut Writer)) {
        if self.left == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.left -= 1;
        self.writer.message(self.field, |attribute| {
            attribute.bytes(KEY, key.as_bytes());
            attribute.message(VALUE, write);
        });
    }

    /// Writes an attribute whose messages have lengths of one byte each. `value` is the `AnyValue` in two parts. Returns
    /// `false` if it is longer, or over the limit.
    #[inline]
    fn short<const N: usize>(&mut self, key: &str, value: ([u8; N], &[u8])) -> bool {
        let (start, rest) = value;
        let any_value = N + rest.len();
        let key_value = 4 + key.len() + any_value;
        if self.left == 0 || self.field > MAX_SHORT_FIELD || key_value > MAX_SHORT {
            return false;
        }
        self.left -= 1;
        self.writer.reserve(2 + key_value);
        let tag = short_tag(self.field, BYTES);
        let key_tag = const { short_tag(KEY, BYTES) };
        self.writer
            .raw(&[tag, key_value as u8, key_tag, key.len() as u8]);
        self.writer.raw(key.as_bytes());
        let value_tag = const { short_tag(VALUE, BYTES) };
        self.writer.raw(&[value_tag, any_value as u8]);
        self.writer.raw(&start);
        self.writer.raw(rest);
        true
    }

    #[inline]
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        // A longer text is not written as a short attribute.
        let start = [const { short_tag(STRING, BYTES) }, value.len() as u8];
        if self.short(key, (start, value.as_bytes())) {
            return;
        }
        self.attribute(key, |writer| {
            writer.present_bytes(STRING, value.as_bytes());
        });
    }

    pub(crate) fn int(&mut self, key: &str, value: i64) {
        let tag = const { short_tag(INT, VARINT) };
        let is_short = match value {
            0..0x80 => self.short(key, ([tag, value as u8], &[])),
            0x80..0x4000 => {
                let bytes = [tag, value as u8 | 0x80, (value >> 7) as u8];
                self.short(key, (bytes, &[]))
            }
            _ => false,
        };
        if is_short {
            return;
        }
        self.attribute(key, |writer| int(writer, value));
    }

    /// Writes an attribute of a record.
    #[inline]
    pub(crate) fn compact(&mut self, key: &str, value: CompactAttribute<'_>) {
        match value {
            CompactAttribute::Text(text) => self.text(key, text),
            CompactAttribute::Int(value) => self.int(key, value),
            CompactAttribute::Float(value) => self.attribute(key, |writer| double(writer, value)),
            CompactAttribute::Bool(value) => self.attribute(key, |writer| bool(writer, value)),
            CompactAttribute::Address(address) => self.address(key, address),
        }
    }

    fn address(&mut self, key: &str, address: IpAddr) {
        self.attribute(key, |writer| {
            // A text has the wire format of a message.
            writer.message(STRING, |text| {
                // Writing to memory cannot fail.
                let _ = write!(text, "{address}");
            });
        });
    }

    /// Writes attributes of the SDK.
    pub(crate) fn all<'a>(&mut self, attributes: impl IntoIterator<Item = &'a KeyValue>) {
        for KeyValue { key, value, .. } in attributes {
            self.value(key.as_str(), value);
        }
    }

    /// Writes an attribute of the SDK.
    pub(crate) fn value(&mut self, key: &str, value: &Value) {
        self.attribute(key, |writer| any_value(writer, value));
    }
}

fn any_value(writer: &mut Writer, value: &Value) {
    match value {
        Value::Bool(value) => bool(writer, *value),
        Value::I64(value) => int(writer, *value),
        Value::F64(value) => double(writer, *value),
        Value::String(text) => writer.present_bytes(STRING, text.as_str().as_bytes()),
        Value::Array(Array::Bool(values)) => array(writer, values, |w, value| bool(w, *value)),
        Value::Array(Array::I64(values)) => array(writer, values, |w, value| int(w, *value)),
        Value::Array(Array::F64(values)) => array(writer, values, |w, value| double(w, *value)),
        Value::Array(Array::String(values)) => array(writer, values, |w, value| {
            w.present_bytes(STRING, value.as_str().as_bytes());
        }),
        // A type that a later version of the API may add.
        value => writer.present_bytes(STRING, value.as_str().as_bytes()),
    }
}

fn array<T>(writer: &mut Writer, values: &[T], write: impl Fn(&mut Writer, &T)) {
    writer.message(ARRAY, |array| {
        for value in values {
            array.message(VALUES, |element| write(element, value));
        }
    });
}

fn bool(writer: &mut Writer, value: bool) {
    writer.present_uint(BOOL, value.into());
}

fn int(writer: &mut Writer, value: i64) {
    writer.present_uint(INT, value.cast_unsigned());
}

fn double(writer: &mut Writer, value: f64) {
    writer.present_fixed64(DOUBLE, value.to_bits());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
    use prost::Message;

    use super::*;
    use crate::encoding::protobuf::{FieldValue, fields};

    fn read(writer: &Writer) -> Vec<(String, Value)> {
        let fields = fields(writer.as_slice()).unwrap();
        let attributes = fields.iter().map(|(_, value)| {
            let FieldValue::Bytes(bytes) = value else {
                unreachable!("{value:?}")
            };
            let KeyValue { key, value, .. } = KeyValue::decode(*bytes).unwrap();
            (key, value.unwrap().value.unwrap())
        });
        attributes.collect()
    }

    #[test]
    fn attributes_of_every_length_are_complete() {
        for field in [1, 15, 16] {
            for length in (0..300).chain([16_383, 16_384, 70_000]) {
                let (key, text) = ("k".repeat(length % 131), "v".repeat(length));
                let mut writer = Writer::default();
                let mut attributes = AttributeWriter::new(&mut writer, field, 2);
                attributes.text(&key, &text);
                attributes.text(&text, "");
                attributes.text("over the limit", "");
                assert_eq!(attributes.dropped(), 1);
                let expected = [
                    (key, Value::StringValue(text.clone())),
                    (text, Value::StringValue(String::new())),
                ];
                assert_eq!(read(&writer), expected);
            }
        }
    }

    #[test]
    fn integers_of_every_size_are_complete() {
        let around = |n: i64| [n - 1, n, n + 1];
        let numbers = [0, 0x80, 0x4000, 0x20_0000, i64::MAX - 1, i64::MIN + 1].map(around);
        for number in numbers.into_iter().flatten() {
            let mut writer = Writer::default();
            AttributeWriter::new(&mut writer, 9, 1).int("key", number);
            let expected = ("key".to_owned(), Value::IntValue(number));
            assert_eq!(read(&writer), [expected]);
        }
    }
}
