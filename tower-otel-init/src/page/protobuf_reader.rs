//! Walks over the fields of a protobuf message, without allocating.
//!
//! A message of 4 MiB can have two million empty spans, which take hundreds of megabytes once they are decoded. So they are
//! decoded one at a time.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// The bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message that have bytes: texts and messages. Other fields are skipped.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    /// The number of a field, and its bytes.
    type Item = Result<(u64, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.next_field();
        if field == Err(Malformed) {
            self.0 = &[];
        }
        field.transpose()
    }
}

impl<'a> Fields<'a> {
    fn next_field(&mut self) -> Result<Option<(u64, &'a [u8])>, Malformed> {
        while !self.0.is_empty() {
            let key = self.varint()?;
            match key & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                5 => drop(self.take(4)?),
                2 => {
                    let length = self.varint()?;
                    let length = usize::try_from(length).map_err(|_| Malformed)?;
                    return Ok(Some((key >> 3, self.take(length)?)));
                }
                _ => return Err(Malformed),
            }
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_bytes_are_found_between_others() {
        let message = [
            0x08, 0x96, 0x01, // 1: a number
            0x12, 0x02, b'h', b'i', // 2: a text
            0x1d, 1, 2, 3, 4, // 3: four bytes
            0x21, 1, 2, 3, 4, 5, 6, 7, 8, // 4: eight bytes
            0x2a, 0x00, // 5: an empty message
        ];
        let fields: Vec<_> = Fields(&message).collect();
        assert_eq!(fields, [Ok((2, &b"hi"[..])), Ok((5, &b""[..]))]);
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
