//! The wire format of protocol buffers: writing messages and reading their fields.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

use std::fmt;

pub(crate) const VARINT: u32 = 0;
const FIXED64: u32 = 1;
pub(crate) const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Writes the fields of a message. As in proto3, a field with the default value is omitted, except by functions that are
/// documented otherwise.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all bytes, and the capacity above `max_capacity`.
    pub(crate) fn clear(&mut self, max_capacity: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(max_capacity);
    }

    /// Returns a writer that starts with `zeros` zero bytes and has capacity for `more` bytes.
    pub(crate) fn with_zeros(zeros: usize, more: usize) -> Self {
        let mut bytes = Vec::with_capacity(zeros + more);
        bytes.resize(zeros, 0);
        Self { bytes }
    }

    /// Appends encoded fields.
    pub(crate) fn raw(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// Reserves capacity for this many bytes.
    #[inline]
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    #[inline]
    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            // The lower seven bits, with the bit that marks further bytes.
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push((value & 0x7f) as u8);
    }

    /// Writes an unsigned integer or an enumeration.
    #[inline]
    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.present_uint(field, value);
        }
    }

    /// Writes an unsigned integer, even if it is 0.
    #[inline]
    pub(crate) fn present_uint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    #[inline]
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.present_fixed64(field, value);
        }
    }

    /// Writes eight bytes, even if they are 0.
    #[inline]
    pub(crate) fn present_fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.raw(&value.to_le_bytes());
    }

    #[inline]
    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, FIXED32);
            self.raw(&value.to_le_bytes());
        }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.present_bytes(field, value);
        }
    }

    /// Writes bytes, a text or an encoded message, even if it is empty.
    #[inline]
    pub(crate) fn present_bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.raw(value);
    }

    /// Writes a message, even if it is empty.
    #[inline]
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, BYTES);
        let at = self.bytes.len();
        // One byte for the length, which is enough for most messages.
        self.bytes.push(0);
        write(self);
        let length = self.bytes.len() - at - 1;
        match (u8::try_from(length), self.bytes.get_mut(at)) {
            (Ok(short @ ..0x80), Some(byte)) => *byte = short,
            _ => self.insert_length(at, length),
        }
    }

    /// Replaces the byte at `at` with a length of several bytes.
    #[cold]
    fn insert_length(&mut self, at: usize, length: usize) {
        let mut prefix = Self::default();
        prefix.varint(length as u64);
        self.bytes.splice(at..=at, prefix.bytes);
    }

    /// Writes tag and length of a long message. The caller writes the content next.
    pub(crate) fn message_start(&mut self, field: u32, length: usize) {
        self.tag(field, BYTES);
        self.varint(length as u64);
    }
}

/// Returns the byte of a tag with a field number below 16.
pub(crate) const fn short_tag(field: u32, wire_type: u32) -> u8 {
    (field << 3 | wire_type) as u8
}

/// Returns the size of a message with this content in a field whose number is less than 16.
pub(crate) const fn message_size(length: usize) -> usize {
    let bits = (u64::BITS - (length as u64 | 1).leading_zeros()) as usize;
    1 + bits.div_ceil(7) + length
}

/// Writes a text without its length, inside a [message](Writer::message).
impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.raw(text.as_bytes());
        Ok(())
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValue<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Eight or four bytes of a fixed size.
    Fixed,
}

/// The input is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads all fields of a message.
pub(crate) fn fields(mut input: &[u8]) -> Result<Vec<(u64, FieldValue<'_>)>, Malformed> {
    let mut fields = Vec::new();
    while !input.is_empty() {
        let tag = read_varint(&mut input)?;
        let value = match (tag & 7) as u32 {
            VARINT => FieldValue::Varint(read_varint(&mut input)?),
            BYTES => {
                let length = read_varint(&mut input)?;
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                FieldValue::Bytes(read_bytes(&mut input, length)?)
            }
            FIXED64 => read_bytes(&mut input, 8).map(|_| FieldValue::Fixed)?,
            FIXED32 => read_bytes(&mut input, 4).map(|_| FieldValue::Fixed)?,
            _ => return Err(Malformed),
        };
        fields.push((tag >> 3, value));
    }
    Ok(fields)
}

fn read_bytes<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (bytes, rest) = input.split_at_checked(length).ok_or(Malformed)?;
    *input = rest;
    Ok(bytes)
}

fn read_varint(input: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first().ok_or(Malformed)?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 3_000_000] {
            let text = vec![b'x'; length];
            let mut writer = Writer::default();
            writer.present_uint(1, length as u64);
            writer.message(2, |inner| {
                inner.present_fixed64(7, 7);
                inner.message(3, |innermost| innermost.present_bytes(4, &text));
            });
            writer.fixed32(100, 5);
            let read = fields(writer.as_slice()).unwrap();
            let &[
                (1, FieldValue::Varint(number)),
                (2, FieldValue::Bytes(inner)),
                (100, FieldValue::Fixed),
            ] = &read[..]
            else {
                unreachable!("{read:?}");
            };
            assert_eq!(number, length as u64);
            let inner = fields(inner).unwrap();
            let [(7, FieldValue::Fixed), (3, FieldValue::Bytes(innermost))] = inner[..] else {
                unreachable!("{inner:?}");
            };
            let innermost = fields(innermost).unwrap();
            assert_eq!(innermost, [(4, FieldValue::Bytes(&text))]);
        }
    }

    #[test]
    fn input_that_is_no_message_is_refused() {
        for input in [
            &[0x80][..],
            &[0xff; 11],
            &[0x0a],
            &[0x0a, 2, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x09, 1, 2, 3],
            b"<html>",
        ] {
            assert_eq!(fields(input), Err(Malformed), "{input:?}");
        }
    }

    #[test]
    fn the_size_of_a_message_is_known_in_advance() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let mut writer = Writer::default();
            writer.message_start(15, length);
            writer.raw(&vec![0; length]);
            assert_eq!(writer.len(), message_size(length));
        }
    }
}
