//! Lower-case hexadecimal digits, several at a time.
//!
//! The loops have a fixed length and no early exit, so that the compiler can use vector instructions.

/// Parses lower-case hexadecimal digits, two for each byte. Returns `None` if any byte is not one.
#[inline]
pub(super) fn parse<const DIGITS: usize, const BYTES: usize>(
    text: &[u8; DIGITS],
) -> Option<[u8; BYTES]> {
    const { assert!(DIGITS == 2 * BYTES) };
    let nibbles = text.map(nibble);
    let mut bytes = [0; BYTES];
    let mut seen_bits = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(nibbles.as_chunks().0) {
        *byte = high << 4 | low;
        seen_bits |= high | low;
    }
    (seen_bits < 16).then_some(bytes)
}

/// Parses sixteen digits.
#[inline]
pub(super) fn parse16(text: &[u8; 16]) -> Option<[u8; 8]> {
    // The compiler needs half as many instructions for 32 digits as for 16.
    let mut padded = [b'0'; 32];
    let (_, digits) = padded.split_last_chunk_mut::<16>()?;
    *digits = *text;
    let bytes: [u8; 16] = parse(&padded)?;
    bytes.last_chunk().copied()
}

/// Returns the value of a digit, or a number from sixteen on if the byte is not one. Computed with a minimum and a saturating
/// addition, which are one vector instruction each. A comparison of unsigned bytes is several.
#[inline(always)]
const fn nibble(digit: u8) -> u8 {
    let number = digit.wrapping_sub(b'0');
    // The highest bit is set from ten on.
    let number = number | (number.saturating_add(128 - 10) & 128);
    // Sixteen and more for all bytes except the letters.
    let letter = digit.wrapping_sub(b'a').saturating_add(10);
    if number < letter { number } else { letter }
}

/// Parses two lower-case hexadecimal digits.
#[inline]
pub(super) fn parse2(high: u8, low: u8) -> Option<u8> {
    let nibble = |digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(nibble(high)? << 4 | nibble(low)?)
}

/// Returns bytes as lower-case hexadecimal digits, two for each byte.
#[inline]
pub(super) fn write<const BYTES: usize, const DIGITS: usize>(bytes: &[u8; BYTES]) -> [u8; DIGITS] {
    const { assert!(DIGITS == 2 * BYTES) };
    let digit = |nibble: u8| nibble + if nibble > 9 { b'a' - 10 } else { b'0' };
    let mut text = [0; DIGITS];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse8(text: &[u8; 8]) -> Option<u32> {
        parse(text).map(u32::from_be_bytes)
    }

    fn parse16(text: &[u8; 16]) -> Option<u64> {
        super::parse16(text).map(u64::from_be_bytes)
    }

    fn write16(number: u64) -> [u8; 16] {
        write(&number.to_be_bytes())
    }

    /// Parses digit by digit.
    fn plain(text: &[u8]) -> Option<u64> {
        text.iter().try_fold(0, |value, byte| {
            let digit = b"0123456789abcdef".iter().position(|d| d == byte)?;
            Some(value << 4 | digit as u64)
        })
    }

    #[test]
    fn every_byte_at_every_position_parses_as_digit_by_digit() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                // The smallest and largest digit and letter, in case a carry reaches a neighbour.
                for other in *b"09af" {
                    let mut text = [other; 8];
                    text[at] = byte;
                    let parsed = parse8(&text).map(u64::from);
                    assert_eq!(parsed, plain(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn every_pair_of_bytes_at_neighbouring_positions_parses_as_digit_by_digit() {
        for at in 0..7 {
            for (first, second) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
                let mut text = *b"5c5c5c5c";
                text[at..at + 2].copy_from_slice(&[first, second]);
                let parsed = parse8(&text).map(u64::from);
                assert_eq!(parsed, plain(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn every_pair_of_bytes_parses_as_digit_by_digit() {
        for (high, low) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
            assert_eq!(parse2(high, low).map(u64::from), plain(&[high, low]));
        }
    }

    proptest! {
        #[test]
        fn any_eight_bytes_parse_as_digit_by_digit(text: [u8; 8]) {
            prop_assert_eq!(parse8(&text).map(u64::from), plain(&text));
        }

        #[test]
        fn sixteen_bytes_are_the_number_they_spell_or_nothing(
            mut text in any::<u64>().prop_map(write16),
            at in 0..16_usize,
            byte in prop_oneof![any::<u8>(), Just(b'f'), Just(b'g'), Just(b'/'), Just(b':'), Just(b'`')],
        ) {
            text[at] = byte;
            let lower = !text.iter().any(u8::is_ascii_uppercase);
            let spelt = std::str::from_utf8(&text).ok().filter(|text| lower && !text.starts_with('+'));
            prop_assert_eq!(parse16(&text), spelt.and_then(|text| u64::from_str_radix(text, 16).ok()));
        }

        #[test]
        fn sixteen_digits_are_written_with_leading_zeros(value: u64) {
            prop_assert_eq!(write16(value).to_vec(), format!("{value:016x}").into_bytes());
        }
    }
}
