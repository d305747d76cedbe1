//! `traceparent`: which trace a request belongs to, and which span sent it.
//!
//! ```
//! use tower_otel_propagate::w3c::traceparent;
//!
//! let received = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
//! let parent = traceparent::parse(received).expect("a well-formed header");
//! assert!(parent.flags.is_sampled());
//!
//! let sent = traceparent::write(parent.trace_id, parent.span_id, parent.flags);
//! assert_eq!(&sent, received);
//! ```

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Length in bytes of a version 00 header, and of the part of every later version that we can read.
pub const LEN: usize = 55;

/// The flags that level 2 defines: sampled (01) and random trace id (02). All others are reserved,
/// read as nothing and written as 0
/// ([specification](https://www.w3.org/TR/trace-context-2/#trace-flags)).
pub const KNOWN_FLAGS: TraceFlags = TraceFlags::new(0x03);

/// What a valid `traceparent` says. Neither id is zero, and only [`KNOWN_FLAGS`] are set, if
/// [`parse`] made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace, the same in every service it passes.
    pub trace_id: TraceId,
    /// The caller's span. The specification calls it `parent-id`.
    pub span_id: SpanId,
    /// Whether the caller records the trace, and whether the trace id is random.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// The same as a remote [`SpanContext`], with `state` beside it.
    pub fn into_span_context(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, state)
    }
}

/// Reads one header value. Does not allocate.
///
/// Spaces and tabs around the value are ignored. Version 00 must be exactly [`LEN`] bytes; of a
/// later version the first [`LEN`] are read, and whatever follows must be set apart by a `-`.
///
/// Returns `None` if anything is wrong: another length, upper-case or non-hexadecimal digits,
/// version `ff`, a zero id. The receiver then starts a new trace and ignores `tracestate` too
/// ([specification](https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent)).
pub fn parse(value: &[u8]) -> Option<TraceParent> {
    let (known, extra) = trim(value).split_first_chunk::<LEN>()?;

    let [v1, v2, b'-', fields @ ..] = known else {
        return None;
    };
    match (octet(*v1, *v2)?, extra) {
        (0xff, _) => return None,
        (_, []) | (1.., [b'-', ..]) => {}
        _ => return None,
    }

    let (high, rest) = fields.split_first_chunk::<16>()?;
    let (low, rest) = rest.split_first_chunk::<16>()?;
    let [b'-', rest @ ..] = rest else {
        return None;
    };
    let (span, rest) = rest.split_first_chunk::<16>()?;
    let [b'-', f1, f2] = rest else {
        return None;
    };

    let parent = TraceParent {
        trace_id: TraceId::from(u128::from(hex(high)?) << 64 | u128::from(hex(low)?)),
        span_id: SpanId::from(hex(span)?),
        flags: TraceFlags::new(octet(*f1, *f2)?) & KNOWN_FLAGS,
    };
    let named = parent.trace_id != TraceId::INVALID && parent.span_id != SpanId::INVALID;
    named.then_some(parent)
}

/// Writes a header value, always as version 00 and in lower case. Does not allocate.
///
/// Only [`KNOWN_FLAGS`] are written. The ids are written as they are: a zero one makes a header
/// that every receiver rejects, so ask [`SpanContext::is_valid`] first
/// ([specification](https://www.w3.org/TR/trace-context-2/#traceparent-header-field-values)).
pub fn write(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> [u8; LEN] {
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let trace = u128::from_be_bytes(trace_id.to_bytes());
    let span = u64::from_be_bytes(span_id.to_bytes());
    for (at, half) in [(3, (trace >> 64) as u64), (19, trace as u64), (36, span)] {
        if let Some(field) = value.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *field = digits(half);
        }
    }
    let [.., last] = &mut value;
    *last += (flags & KNOWN_FLAGS).to_u8();
    value
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Sixteen lower-case hexadecimal digits, read side by side in the bytes of one integer. They are
/// what is written for the number read, or they are nothing.
fn hex(text: &[u8; 16]) -> Option<u64> {
    let ascii = u128::from_be_bytes(*text);
    let letters = ascii >> 6 & each(1);
    let mut nibbles = (ascii & each(0x0f)) + (letters << 3) + letters;
    nibbles = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles >> 8) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles >> 16) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    let value = (nibbles | nibbles >> 32) as u64;
    (digits(value) == *text).then_some(value)
}

/// Two of them.
fn octet(high: u8, low: u8) -> Option<u8> {
    let nibble = |digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(nibble(high)? << 4 | nibble(low)?)
}

/// Sixteen lower-case hexadecimal digits, made side by side in the bytes of one integer.
fn digits(value: u64) -> [u8; 16] {
    // First move the digits apart, until each has a byte to itself.
    let mut nibbles = u128::from(value);
    nibbles = (nibbles | nibbles << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f;
    // Six more carries those above 9 into the next nibble: a one wherever there is to be a letter.
    let letters = (nibbles + each(6)) >> 4 & each(1);
    let ascii = nibbles + each(b'0') + letters * u128::from(b'a' - b'0' - 10);
    ascii.to_be_bytes()
}

const fn each(byte: u8) -> u128 {
    u128::from_be_bytes([byte; 16])
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn flags_of(value: &str) -> Option<u8> {
        parse(value.as_bytes()).map(|parent| {
            assert_eq!(parent.trace_id.to_string(), TRACE);
            assert_eq!(parent.span_id.to_string(), SPAN);
            parent.flags.to_u8()
        })
    }

    fn rejects(values: &[String]) {
        for value in values {
            assert_eq!(parse(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn version_00_is_read_field_by_field() {
        assert_eq!(flags_of(&format!("00-{TRACE}-{SPAN}-01")), Some(1));
    }

    #[test]
    fn version_00_has_nothing_after_the_flags() {
        let end = ["-", ".", "0", "-00", ".0", "-extra", ",", "\0"];
        rejects(&end.map(|end| format!("00-{TRACE}-{SPAN}-01{end}")));
    }

    #[test]
    fn upper_case_hex_is_invalid_in_every_field() {
        rejects(&[
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
        ]);
    }

    #[test]
    fn version_is_two_hex_digits() {
        let version = ["", "0", "000", "0.", "g0", ".0", "  ", "0x"];
        rejects(&version.map(|version| format!("{version}-{TRACE}-{SPAN}-01")));
    }

    #[test]
    fn version_ff_is_invalid() {
        let end = ["", "-more"];
        rejects(&end.map(|end| format!("ff-{TRACE}-{SPAN}-01{end}")));
    }

    #[test]
    fn later_versions_are_read_as_far_as_version_00_goes() {
        for version in 0x01..=0xfe {
            for end in ["", "-", "-what-the-future-brings", "-.\u{fc}"] {
                let value = format!("{version:02x}-{TRACE}-{SPAN}-01{end}");
                assert_eq!(flags_of(&value), Some(1), "{value:?}");
            }
        }
    }

    #[test]
    fn later_versions_set_their_extras_apart_with_a_dash() {
        let end = [".future", "1", " x", ","];
        rejects(&end.map(|end| format!("cc-{TRACE}-{SPAN}-01{end}")));
        rejects(&[format!("cc-{TRACE}-{SPAN}-0"), format!("cc-{TRACE}-{SPAN}")]);
    }

    #[test]
    fn trace_id_is_32_digits_and_not_zero() {
        let id = [
            "0".repeat(32),
            TRACE[1..].to_owned(),
            format!("{TRACE}0"),
            format!(".{}", &TRACE[1..]),
            format!("g{}", &TRACE[1..]),
        ];
        rejects(&id.map(|id| format!("00-{id}-{SPAN}-01")));
    }

    #[test]
    fn parent_id_is_16_digits_and_not_zero() {
        let id = [
            "0".repeat(16),
            SPAN[1..].to_owned(),
            format!("{SPAN}0"),
            format!(".{}", &SPAN[1..]),
            format!("g{}", &SPAN[1..]),
        ];
        rejects(&id.map(|id| format!("00-{TRACE}-{id}-01")));
    }

    #[test]
    fn flags_are_two_hex_digits() {
        let flags = ["", "0", "001", ".0", "0.", "g1", "0x"];
        rejects(&flags.map(|flags| format!("00-{TRACE}-{SPAN}-{flags}")));
    }

    #[test]
    fn fields_are_set_apart_by_dashes() {
        rejects(&[
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
        ]);
    }

    #[test]
    fn two_headers_joined_by_a_comma_are_invalid() {
        let one = format!("00-{TRACE}-{SPAN}-01");
        rejects(&[format!("{one},{one}"), format!("{one}, {one}")]);
    }

    #[test]
    fn spaces_and_tabs_around_the_value_are_ignored() {
        for (before, after) in [(" ", ""), ("", " "), ("\t", "\t"), (" \t ", "\t \t")] {
            let value = format!("{before}00-{TRACE}-{SPAN}-01{after}");
            assert_eq!(flags_of(&value), Some(1), "{value:?}");
        }
        rejects(&["".into(), " ".into(), format!("\n00-{TRACE}-{SPAN}-01")]);
    }

    #[test]
    fn sampled_and_random_are_kept_and_reserved_flags_cleared() {
        for flags in 0..=0xff {
            let value = format!("00-{TRACE}-{SPAN}-{flags:02x}");
            assert_eq!(flags_of(&value), Some(flags & 0x03), "{value:?}");
        }
    }

    #[test]
    fn written_as_version_00_with_known_flags_only() {
        let (trace, span) = (
            TraceId::from_hex(TRACE).unwrap(),
            SpanId::from_hex(SPAN).unwrap(),
        );
        for flags in 0..=0xff {
            let value = write(trace, span, TraceFlags::new(flags));
            let expected = format!("00-{TRACE}-{SPAN}-{:02x}", flags & 0x03);
            assert_eq!(std::str::from_utf8(&value).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn sixteen_bytes_are_the_number_they_spell_or_nothing(
            mut text in any::<u64>().prop_map(digits),
            at in 0..16_usize,
            byte in prop_oneof![any::<u8>(), Just(b'f'), Just(b'g'), Just(b'/'), Just(b':'), Just(b'`')],
        ) {
            text[at] = byte;
            let lower = !text.iter().any(u8::is_ascii_uppercase);
            let spelt = std::str::from_utf8(&text).ok().filter(|text| lower && !text.starts_with('+'));
            prop_assert_eq!(hex(&text), spelt.and_then(|text| u64::from_str_radix(text, 16).ok()));
        }

        #[test]
        fn any_bytes_have_an_answer(value: Vec<u8>) {
            let _ = parse(&value);
        }

        #[test]
        fn what_is_written_is_read_back(trace in 1u128.., span in 1u64.., flags in 0..4u8) {
            let (trace_id, span_id, flags) =
                (TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags));
            let read = parse(&write(trace_id, span_id, flags));
            prop_assert_eq!(read, Some(TraceParent { trace_id, span_id, flags }));
        }

        #[test]
        fn one_changed_byte_is_rejected_or_read_as_it_stands(at in 0..LEN, byte: u8) {
            let mut value = write(TraceId::from(u128::MAX / 3), SpanId::from(7), KNOWN_FLAGS);
            value[at] = byte;
            if let Some(read) = parse(&value) {
                let written = write(read.trace_id, read.span_id, read.flags);
                prop_assert_eq!(&written[3..53], &value[3..53]);
            }
        }
    }
}
