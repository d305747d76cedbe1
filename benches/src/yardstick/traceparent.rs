//! `traceparent`, parsed eight digits at a time. Only the form that every client sends today is read.

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Trace id, span id and flags.
pub type Parent = (u128, u64, u8);

/// Returns the parent in the headers.
pub fn of(headers: &HeaderMap) -> Option<Parent> {
    parse(headers.get(&TRACEPARENT)?.as_bytes())
}

/// Returns whether this is the name of the header.
pub fn is_name(name: &HeaderName) -> bool {
    *name == TRACEPARENT
}

/// Parses the value of the header.
#[inline(never)]
pub fn parse(value: &[u8]) -> Option<Parent> {
    let [b'0', b'0', b'-', fields @ ..] = value else {
        return None;
    };
    if value.len() != 55 {
        return None;
    }
    let (high, fields) = fields.split_first_chunk::<16>()?;
    let (low, fields) = fields.split_first_chunk::<16>()?;
    let [b'-', fields @ ..] = fields else {
        return None;
    };
    let (span, fields) = fields.split_first_chunk::<16>()?;
    let [b'-', b'0', flags @ b'0'..=b'3'] = fields else {
        return None;
    };
    let trace = u128::from(hex16(high)?) << 64 | u128::from(hex16(low)?);
    let span = hex16(span)?;
    (trace != 0 && span != 0).then(|| (trace, span, flags - b'0'))
}

fn hex16(digits: &[u8; 16]) -> Option<u64> {
    let (high, low) = digits.split_at(8);
    Some(u64::from(hex8(high.try_into().ok()?)?) << 32 | u64::from(hex8(low.try_into().ok()?)?))
}

/// Parses eight lower-case hexadecimal digits, side by side in one word.
#[inline(always)]
fn hex8(digits: &[u8; 8]) -> Option<u32> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let value = u64::from_be_bytes(*digits);
    let (from_zero, from_letters) = (value ^ (0x30 * EACH), value ^ (0x60 * EACH));
    let digit = !from_zero.wrapping_add(0x76 * EACH);
    let letter = !from_letters.wrapping_add(0x79 * EACH) & from_letters.wrapping_add(0x7f * EACH);
    if (digit | letter) & !value & (0x80 * EACH) != 0x80 * EACH || value & (0x80 * EACH) != 0 {
        return None;
    }
    let number = (value & (0x0f * EACH)) + 9 * (value >> 6 & EACH);
    let number = (number | number >> 4) & 0x00ff_00ff_00ff_00ff;
    let number = (number | number >> 8) & 0x0000_ffff_0000_ffff;
    Some((number | number >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_parsed_as_by_the_standard_library() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut digits = *b"0123a9bf";
                digits[at] = byte;
                let is_lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let text = digits.iter().all(is_lower).then_some(digits);
                let expected = text.map(|text| {
                    u32::from_str_radix(std::str::from_utf8(&text).unwrap(), 16).unwrap()
                });
                assert_eq!(hex8(&digits), expected, "{digits:?}");
            }
        }
    }

    #[test]
    fn a_parent_is_parsed() {
        let parent = parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let (trace, span) = (
            0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            0xb7ad_6b71_6920_3331,
        );
        assert_eq!(parent, Some((trace, span, 1)));
        assert_eq!(
            parse(b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            None
        );
    }
}
