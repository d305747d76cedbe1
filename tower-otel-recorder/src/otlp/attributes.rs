//! Attributes of OTLP, up to a limit.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto>

use std::{fmt::Write, net::IpAddr};

use opentelemetry::{Array, KeyValue, Value};

use crate::{buffer::CompactAttribute, otlp::protobuf::Writer};

/// The fields of `KeyValue`.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// The fields of `AnyValue`. Each is written also if it is 0 or empty, because it names the type.
const STRING: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const DOUBLE: u32 = 4;
const ARRAY: u32 = 5;

/// The field of `ArrayValue`.
const VALUES: u32 = 1;

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

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.attribute(key, |writer| {
            writer.present_bytes(STRING, value.as_bytes());
        });
    }

    pub(crate) fn int(&mut self, key: &str, value: i64) {
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
        // A type that a later version of the API adds.
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
