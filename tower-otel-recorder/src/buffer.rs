//! Attributes as compact values in reusable buffers.

use std::{fmt::Debug, net::IpAddr, sync::Arc};

use opentelemetry::{KeyValue, Value};

use crate::{
    limits::TextLimits,
    texts::{TextRange, TextStore},
};

/// The initial capacities, for the attributes of a browser's request.
const ATTRIBUTES: usize = 16;
const BYTES: usize = 256;

/// A buffer that has grown beyond these capacities is shrunk before it is reused.
const MAX_REUSED_ATTRIBUTES: usize = 64;
const MAX_REUSED_BYTES: usize = 4096;

/// The attributes of one span. Texts are copied within limits. An attribute whose text does not fit is dropped and
/// counted.
#[derive(Debug)]
pub struct AttributeBuffer {
    attributes: Vec<Attribute>,
    texts: TextStore,
    /// The number of attributes over the maximum number.
    dropped: u32,
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

impl AttributeBuffer {
    pub(crate) fn new(limits: TextLimits) -> Self {
        Self {
            attributes: Vec::with_capacity(ATTRIBUTES),
            texts: TextStore::new(limits, BYTES),
            dropped: 0,
        }
    }

    /// Returns the attributes that `write` adds, for many spans to [share](crate::SpanRecord::set_template).
    pub fn shared(write: impl FnOnce(&mut Self)) -> Arc<Self> {
        let mut attributes = Self::empty(TextLimits::default());
        write(&mut attributes);
        Arc::new(attributes)
    }

    /// Returns a buffer without capacity.
    pub(crate) const fn empty(limits: TextLimits) -> Self {
        Self {
            attributes: Vec::new(),
            texts: TextStore::empty(limits),
            dropped: 0,
        }
    }

    /// Sets the limits of an empty buffer.
    pub(crate) const fn set_limits(&mut self, limits: TextLimits) {
        self.texts.set_limits(limits);
    }

    /// Adds a text. It is copied.
    #[inline]
    pub fn text(&mut self, key: &'static str, value: &str) {
        if let Some(range) = self.texts.store(value) {
            self.push(key, CompactValue::Text(range));
        }
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
    pub(crate) fn float(&mut self, key: &'static str, value: f64) {
        self.push(key, CompactValue::Float(value));
    }

    /// Adds a Boolean.
    #[inline]
    pub(crate) fn bool(&mut self, key: &'static str, value: bool) {
        self.push(key, CompactValue::Bool(value));
    }

    /// Adds an IP address. It is exported as text.
    #[inline]
    pub fn address(&mut self, key: &'static str, value: IpAddr) {
        self.push(key, CompactValue::Address(value));
    }

    /// Adds the formatted text of `value`.
    pub(crate) fn debug(&mut self, key: &'static str, value: &dyn Debug) {
        if let Some(range) = self.texts.store_debug(value) {
            self.push(key, CompactValue::Text(range));
        }
    }

    /// Adds a text that is already stored.
    pub(crate) fn range(&mut self, key: &'static str, range: TextRange) {
        self.push(key, CompactValue::Text(range));
    }

    #[inline]
    fn push(&mut self, key: &'static str, value: CompactValue) {
        self.attributes.push(Attribute { key, value });
    }

    /// Counts dropped attributes.
    #[cold]
    fn drop_attributes(&mut self, dropped: usize) {
        let dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        self.dropped = self.dropped.saturating_add(dropped);
    }

    /// Returns the number of attributes that were dropped.
    pub(crate) const fn dropped(&self) -> u32 {
        self.dropped.saturating_add(self.texts.dropped())
    }

    /// Returns the texts.
    pub(crate) const fn texts(&mut self) -> &mut TextStore {
        &mut self.texts
    }

    /// Returns the number of bytes that the buffer has allocated.
    pub(crate) const fn allocated(&self) -> usize {
        self.attributes.capacity() * size_of::<Attribute>() + self.texts.capacity()
    }

    /// Returns the number of bytes of the content.
    pub(crate) fn used(&self) -> usize {
        self.attributes.len() * size_of::<Attribute>() + self.texts.len()
    }

    /// Changes the key of an attribute.
    pub(crate) fn rename(&mut self, index: usize, key: &'static str) {
        if let Some(attribute) = self.attributes.get_mut(index) {
            attribute.key = key;
        }
    }

    /// Copies the attributes of `other` to the end, up to `limit` attributes in total. Counts attributes that do not fit and
    /// attributes that `other` has dropped.
    pub(crate) fn append_up_to(&mut self, limit: usize, other: &Self) {
        let count = limit.saturating_sub(self.len()).min(other.len());
        if count == 0 || other.texts.len() > self.texts.room() {
            self.append_each(count, other);
        } else {
            self.append(other);
            self.attributes.truncate(limit);
        }
        let dropped = other.len() - count;
        let dropped =
            dropped.saturating_add(usize::try_from(other.dropped()).unwrap_or(usize::MAX));
        if dropped > 0 {
            self.drop_attributes(dropped);
        }
    }

    /// Copies the first attributes of `other` whose texts fit.
    #[cold]
    fn append_each(&mut self, count: usize, other: &Self) {
        for attribute in other.attributes.iter().take(count) {
            match attribute.value {
                CompactValue::Text(range) => self.text(attribute.key, other.stored(range)),
                value => self.push(attribute.key, value),
            }
        }
    }

    /// Copies all attributes and texts of `other` to the end, regardless of limits.
    pub(crate) fn append(&mut self, other: &Self) {
        let offset = self.texts.len();
        self.texts.append(&other.texts);
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
        self.texts.get(range)
    }

    /// Returns the number of attributes.
    pub(crate) fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Returns keys and values from `start` to before `end`, in the order of their addition, without copying them.
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

    /// Returns the attributes from `start` to before `end`, in the order of their addition.
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
        self.texts.clear(MAX_REUSED_BYTES);
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMITS: TextLimits = TextLimits {
        length: usize::MAX,
        bytes: usize::MAX,
    };

    fn all(buffer: &AttributeBuffer) -> Vec<KeyValue> {
        buffer.key_values(0, buffer.len()).collect()
    }

    #[test]
    fn attributes_keep_their_type_and_order() {
        let mut buffer = AttributeBuffer::new(TextLimits::default());
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
            let mut buffer = AttributeBuffer::new(NO_LIMITS);
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
        let mut buffer = AttributeBuffer::empty(TextLimits::default());
        buffer.text("first", "1");
        let mut other = AttributeBuffer::empty(TextLimits::default());
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
    fn a_cleared_buffer_is_empty_and_keeps_a_bounded_capacity() {
        let mut buffer = AttributeBuffer::new(TextLimits::default());
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

    #[test]
    fn attributes_whose_text_does_not_fit_are_dropped_and_others_are_not() {
        let limits = TextLimits {
            length: 4,
            bytes: 10,
        };
        let mut buffer = AttributeBuffer::empty(limits);
        buffer.text("first", "12345");
        buffer.text("second", "12345");
        buffer.text("third", "123");
        buffer.text("fourth", "12");
        buffer.int("number", 7);
        buffer.fixed("fixed", "12345");
        let expected = [
            KeyValue::new("first", "1234"),
            KeyValue::new("second", "1234"),
            KeyValue::new("fourth", "12"),
            KeyValue::new("number", 7),
            KeyValue::new("fixed", "12345"),
        ];
        assert_eq!(all(&buffer), expected);
        assert_eq!(buffer.dropped(), 1);
        buffer.clear();
        buffer.text("first", "12345");
        assert_eq!((all(&buffer).len(), buffer.dropped()), (1, 0));
    }

    #[test]
    fn appended_attributes_are_limited_by_number_and_bytes() {
        let other = |attributes: &[(&'static str, &str)]| {
            let mut other = AttributeBuffer::empty(NO_LIMITS);
            for (key, text) in attributes {
                other.text(key, text);
            }
            other
        };
        let limits = TextLimits {
            length: 9,
            bytes: 10,
        };
        let mut buffer = AttributeBuffer::empty(limits);
        buffer.append_up_to(4, &other(&[("a", "1234"), ("b", "1")]));
        buffer.append_up_to(4, &other(&[("c", "123456"), ("d", "12345"), ("e", "")]));
        let expected = [("a", "1234"), ("b", "1"), ("d", "12345")];
        assert_eq!(
            all(&buffer),
            expected.map(|(key, value)| KeyValue::new(key, value))
        );
        assert_eq!(buffer.dropped(), 2);
        buffer.append_up_to(4, &other(&[("f", ""), ("g", "")]));
        assert_eq!((buffer.len(), buffer.dropped()), (4, 3));
    }
}
