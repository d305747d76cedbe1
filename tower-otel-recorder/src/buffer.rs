//! Attributes as compact values in buffers that are reused.

use std::{
    fmt::{Debug, Write},
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use opentelemetry::{KeyValue, Value};

/// The initial capacities: the attributes of a request from a browser.
const ATTRIBUTES: usize = 16;
const BYTES: usize = 256;

/// A buffer that has grown beyond these capacities is shrunk before it is reused.
const MAX_REUSED_ATTRIBUTES: usize = 64;
const MAX_REUSED_BYTES: usize = 4096;

/// The text of a value whose `Debug` or `Display` implementation panics.
const PANICKED: &str = "<panicked while formatting>";

/// The attributes of one span. Texts are copied into one string.
#[derive(Debug)]
pub struct AttributeBuffer {
    attributes: Vec<Attribute>,
    texts: String,
}

#[derive(Clone, Copy, Debug)]
struct Attribute {
    key: &'static str,
    value: CompactValue,
}

#[derive(Clone, Copy, Debug)]
enum CompactValue {
    Static(&'static str),
    Text(TextRange),
    Int(i64),
    Float(f64),
    Bool(bool),
    Address(IpAddr),
}

/// The value of an attribute, borrowed from a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CompactAttribute<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Address(IpAddr),
}

/// A part of the texts of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRange {
    start: usize,
    end: usize,
}

impl TextRange {
    /// Returns the range of the same text after it was appended to a buffer with so many bytes.
    pub(crate) const fn moved(self, offset: usize) -> Self {
        Self {
            start: self.start + offset,
            end: self.end + offset,
        }
    }
}

impl AttributeBuffer {
    pub(crate) fn new() -> Self {
        Self {
            attributes: Vec::with_capacity(ATTRIBUTES),
            texts: String::with_capacity(BYTES),
        }
    }

    /// Returns a buffer without capacity.
    pub(crate) const fn empty() -> Self {
        Self {
            attributes: Vec::new(),
            texts: String::new(),
        }
    }

    /// Adds a text, which is copied.
    #[inline]
    pub fn text(&mut self, key: &'static str, value: &str) {
        let range = self.store(value);
        self.push(key, CompactValue::Text(range));
    }

    /// Adds a text that lives as long as the program.
    #[inline]
    pub fn fixed(&mut self, key: &'static str, value: &'static str) {
        self.push(key, CompactValue::Static(value));
    }

    /// Adds an integer.
    #[inline]
    pub fn int(&mut self, key: &'static str, value: i64) {
        self.push(key, CompactValue::Int(value));
    }

    /// Adds a floating-point number.
    #[inline]
    pub fn float(&mut self, key: &'static str, value: f64) {
        self.push(key, CompactValue::Float(value));
    }

    /// Adds a Boolean.
    #[inline]
    pub fn bool(&mut self, key: &'static str, value: bool) {
        self.push(key, CompactValue::Bool(value));
    }

    /// Adds an IP address, which is exported as text.
    #[inline]
    pub fn address(&mut self, key: &'static str, value: IpAddr) {
        self.push(key, CompactValue::Address(value));
    }

    /// Adds the text that `value` formats to.
    pub(crate) fn debug(&mut self, key: &'static str, value: &dyn Debug) {
        let range = self.store_debug(value);
        self.push(key, CompactValue::Text(range));
    }

    /// Adds a text that is stored already.
    pub(crate) fn range(&mut self, key: &'static str, range: TextRange) {
        self.push(key, CompactValue::Text(range));
    }

    #[inline]
    fn push(&mut self, key: &'static str, value: CompactValue) {
        self.attributes.push(Attribute { key, value });
    }

    /// Copies a text that is not the value of an attribute.
    #[inline]
    pub(crate) fn store(&mut self, text: &str) -> TextRange {
        let start = self.texts.len();
        self.texts.push_str(text);
        TextRange {
            start,
            end: self.texts.len(),
        }
    }

    /// Stores the text that `value` formats to. A panic of the value replaces its text.
    pub(crate) fn store_debug(&mut self, value: &dyn Debug) -> TextRange {
        let start = self.texts.len();
        let texts = &mut self.texts;
        let formatted = catch_unwind(AssertUnwindSafe(|| write!(texts, "{value:?}")));
        if formatted.is_err() {
            self.texts.truncate(start);
            self.texts.push_str(PANICKED);
        }
        TextRange {
            start,
            end: self.texts.len(),
        }
    }

    /// Changes the key of an attribute.
    pub(crate) fn rename(&mut self, index: usize, key: &'static str) {
        if let Some(attribute) = self.attributes.get_mut(index) {
            attribute.key = key;
        }
    }

    /// Copies the first attributes of `other` to the end, up to `limit` attributes in all. Returns the number of the others.
    pub(crate) fn append_up_to(&mut self, limit: usize, other: &Self) -> usize {
        let count = limit.saturating_sub(self.len()).min(other.len());
        if count > 0 {
            self.append(other);
            self.attributes.truncate(limit);
        }
        other.len() - count
    }

    /// Copies all attributes and texts of `other` to the end.
    pub(crate) fn append(&mut self, other: &Self) {
        let offset = self.texts.len();
        self.texts.push_str(&other.texts);
        let moved = |attribute: &Attribute| Attribute {
            key: attribute.key,
            value: match attribute.value {
                CompactValue::Text(range) => CompactValue::Text(range.moved(offset)),
                value => value,
            },
        };
        self.attributes.extend(other.attributes.iter().map(moved));
    }

    /// Returns the length of all texts together: the offset of the next [`append`](Self::append).
    pub(crate) fn text_len(&self) -> usize {
        self.texts.len()
    }

    /// Returns a stored text.
    pub(crate) fn stored(&self, range: TextRange) -> &str {
        self.texts.get(range.start..range.end).unwrap_or_default()
    }

    /// Returns the number of attributes.
    pub(crate) fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Returns keys and values from `start` up to `end`, in the order in which they were added, without a copy.
    pub(crate) fn borrowed(
        &self,
        start: usize,
        end: usize,
    ) -> impl Iterator<Item = (&'static str, CompactAttribute<'_>)> {
        let attributes = self.attributes.get(start..end).unwrap_or_default();
        attributes.iter().map(|attribute| {
            let value = match attribute.value {
                CompactValue::Static(text) => CompactAttribute::Text(text),
                CompactValue::Text(range) => CompactAttribute::Text(self.stored(range)),
                CompactValue::Int(value) => CompactAttribute::Int(value),
                CompactValue::Float(value) => CompactAttribute::Float(value),
                CompactValue::Bool(value) => CompactAttribute::Bool(value),
                CompactValue::Address(address) => CompactAttribute::Address(address),
            };
            (attribute.key, value)
        })
    }

    /// Returns the attributes from `start` up to `end`, in the order in which they were added.
    pub(crate) fn key_values(
        &self,
        start: usize,
        end: usize,
    ) -> impl Iterator<Item = KeyValue> + '_ {
        let attributes = self.attributes.get(start..end).unwrap_or_default();
        attributes
            .iter()
            .map(|attribute| KeyValue::new(attribute.key, self.value(attribute.value)))
    }

    fn value(&self, value: CompactValue) -> Value {
        match value {
            CompactValue::Static(text) => text.into(),
            CompactValue::Text(range) => self.stored(range).to_owned().into(),
            CompactValue::Int(value) => value.into(),
            CompactValue::Float(value) => value.into(),
            CompactValue::Bool(value) => value.into(),
            CompactValue::Address(address) => address.to_string().into(),
        }
    }

    /// Removes all attributes and keeps the capacity, up to a bound.
    pub(crate) fn clear(&mut self) {
        self.attributes.clear();
        self.attributes.shrink_to(MAX_REUSED_ATTRIBUTES);
        self.texts.clear();
        self.texts.shrink_to(MAX_REUSED_BYTES);
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn all(buffer: &AttributeBuffer) -> Vec<KeyValue> {
        buffer.key_values(0, buffer.len()).collect()
    }

    #[test]
    fn attributes_keep_their_type_and_order() {
        let mut buffer = AttributeBuffer::new();
        buffer.text("text", "a\u{e9}");
        buffer.fixed("fixed", "b");
        buffer.int("int", -1);
        buffer.float("float", 0.5);
        buffer.bool("bool", true);
        buffer.address("v4", [192, 0, 2, 7].into());
        buffer.address("v6", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into());
        let expected = [
            KeyValue::new("text", "a\u{e9}"),
            KeyValue::new("fixed", "b"),
            KeyValue::new("int", -1),
            KeyValue::new("float", 0.5),
            KeyValue::new("bool", true),
            KeyValue::new("v4", "192.0.2.7"),
            KeyValue::new("v6", "2001:db8::7"),
        ];
        assert_eq!(all(&buffer), expected);
    }

    #[test]
    fn texts_of_any_length_are_complete() {
        for length in [0, 1, 255, 256, 257, 5_000, 70_000] {
            let text = "x".repeat(length);
            let mut buffer = AttributeBuffer::new();
            buffer.text("first", &text);
            buffer.text("second", "y");
            buffer.text("third", &text);
            let expected = [("first", &*text), ("second", "y"), ("third", &*text)];
            let expected = expected.map(|(key, value)| KeyValue::new(key, value.to_owned()));
            assert_eq!(all(&buffer), expected);
        }
    }

    #[test]
    fn appended_attributes_keep_their_texts() {
        let mut buffer = AttributeBuffer::empty();
        buffer.text("first", "1");
        let mut other = AttributeBuffer::empty();
        other.text("second", "2");
        other.int("third", 3);
        buffer.append(&other);
        buffer.append(&other);
        buffer.rename(0, "renamed");
        let expected = [
            KeyValue::new("renamed", "1"),
            KeyValue::new("second", "2"),
            KeyValue::new("third", 3),
            KeyValue::new("second", "2"),
            KeyValue::new("third", 3),
        ];
        assert_eq!(all(&buffer), expected);
    }

    #[test]
    fn a_value_that_panics_while_it_is_formatted_is_replaced() {
        struct Panics;
        impl Debug for Panics {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("partly")?;
                panic!("no text")
            }
        }
        let mut buffer = AttributeBuffer::empty();
        buffer.debug("number", &1);
        buffer.debug("panics", &Panics);
        buffer.debug("after", &'x');
        let expected = [("number", "1"), ("panics", PANICKED), ("after", "'x'")];
        assert_eq!(
            all(&buffer),
            expected.map(|(key, value)| KeyValue::new(key, value))
        );
    }

    #[test]
    fn a_cleared_buffer_is_empty_and_keeps_a_bounded_capacity() {
        let mut buffer = AttributeBuffer::new();
        for _ in 0..1_000 {
            buffer.text("key", &"x".repeat(100));
        }
        buffer.clear();
        assert_eq!(all(&buffer), []);
        assert!(buffer.attributes.capacity() <= MAX_REUSED_ATTRIBUTES);
        assert!(buffer.texts.capacity() <= MAX_REUSED_BYTES);
        buffer.int("key", 1);
        let capacities = (buffer.attributes.capacity(), buffer.texts.capacity());
        buffer.clear();
        assert_eq!(
            (buffer.attributes.capacity(), buffer.texts.capacity()),
            capacities
        );
    }
}
