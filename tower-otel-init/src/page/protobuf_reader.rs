//! Iterates over the fields of a protobuf message, without allocating.
//!
//! A message of 4 MiB can have two million empty spans, which use hundreds of megabytes when they are decoded. So spans are
//! decoded one at a time, and only if a browser requests them.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// The error for bytes that are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Number(u64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    /// The number of a field, and its value.
    type Item = Result<(u64, Field<'a>), Malformed>;

    // Inlined, because the export thread reads the fields of every span.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.next_field();
        if field == Err(Malformed) {
            self.0 = &[];
        }
        field.transpose()
    }
}

impl<'a> Fields<'a> {
    /// Returns the text or the message of the next field if it has this number, which is less than 16, and less than 128 bytes. This
    /// is faster than [`next`](Iterator::next).
    #[inline]
    pub(crate) fn next_short(&mut self, number: u8) -> Option<&'a [u8]> {
        match self.0 {
            [key, length @ ..0x80, rest @ ..] if *key == number << 3 | 2 => {
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                self.0 = rest;
                Some(value)
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn next_field(&mut self) -> Result<Option<(u64, Field<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Number(little_endian(self.take(8)?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Number(little_endian(self.take(4)?)),
            _ => return Err(Malformed),
        };
        Ok(Some((key >> 3, value)))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.0.split_first() {
            // Most numbers have one byte.
            Some((byte @ ..0x80, rest)) => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

#[inline]
fn little_endian(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_type_are_read() {
        let message = [
            0x08, 0x96, 0x01, // 1: a number
            0x12, 0x02, b'h', b'i', // 2: a text
            0x1d, 1, 2, 3, 4, // 3: four bytes
            0x21, 1, 2, 3, 4, 5, 6, 7, 8, // 4: eight bytes
            0x2a, 0x00, // 5: an empty message
        ];
        let fields: Vec<_> = Fields(&message).collect();
        let expected = [
            (1, Field::Number(150)),
            (2, Field::Bytes(b"hi")),
            (3, Field::Number(0x0403_0201)),
            (4, Field::Number(0x0807_0605_0403_0201)),
            (5, Field::Bytes(b"")),
        ];
        assert_eq!(fields, expected.map(Ok));
    }

    #[test]
    fn short_fields_with_a_number_are_read_up_to_another_field() {
        let mut message = vec![0x4a, 0x01, b'a', 0x4a, 0x00, 0x4a, 0x80, 0x01];
        message.resize(message.len() + 128, b'b');
        message.extend([0x4a, 0x02, b'c']);
        let mut fields = Fields(&message);
        assert_eq!(fields.next_short(8), None);
        assert_eq!(fields.next_short(9), Some(&b"a"[..]));
        assert_eq!(fields.next_short(9), Some(&b""[..]));
        assert_eq!(fields.next_short(9), None, "the next one is long");
        assert_eq!(fields.next(), Some(Ok((9, Field::Bytes(&[b'b'; 128])))));
        assert_eq!(fields.next_short(9), None, "the next one is cut");
        assert_eq!(fields.next(), Some(Err(Malformed)));
        assert_eq!(fields.next_short(9), None);
    }

    #[test]
    fn what_is_cut_or_no_message_is_malformed_and_ends() {
        for message in [
            &[0x12, 0x03, b'h', b'i'][..],
            &[0x80],
            &[0x0b],
            &[0xff; 11],
            &[0x1d, 1],
            &[
                0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
        ] {
            let fields: Vec<_> = Fields(message).collect();
            assert_eq!(fields, [Err(Malformed)], "{message:?}");
        }
    }
}
