//! The `traceparent` header: the trace a request belongs to and the span that sent it
//! ([specification](https://www.w3.org/TR/trace-context-2/#traceparent-header)).
//!
//! ```
//! use tower_otel_propagate::w3c::traceparent;
//!
//! let received = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
//! let parent = traceparent::parse(received).expect("a valid header");
//! assert!(parent.flags.is_sampled());
//!
//! let sent = traceparent::write(parent.trace_id, parent.span_id, parent.flags);
//! assert_eq!(&sent, received);
//! ```

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::hex;

/// The length in bytes of a version 00 header, and of the part of a later version that is read.
pub(crate) const TRACEPARENT_LEN: usize = 55;

/// The length without version and dash.
const FIELDS_LEN: usize = TRACEPARENT_LEN - 3;

/// The flags that level 2 defines: sampled (01) and random trace id (02). All others are reserved:
/// ignored when read, written as 0
/// ([specification](https://www.w3.org/TR/trace-context-2/#trace-flags)).
const KNOWN_FLAGS: TraceFlags = TraceFlags::new(0x03);

/// The fields of a `traceparent`. [`parse`] returns only ids that are not zero and only flags that
/// level 2 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace id, the same in every service.
    pub trace_id: TraceId,
    /// The id of the caller's span. The specification calls it `parent-id`.
    pub span_id: SpanId,
    /// Whether the caller records the trace (sampled), and whether the trace id is random.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// Converts the fields to a remote [`SpanContext`] with this trace state.
    pub(crate) fn into_span_context(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, state)
    }
}

/// Parses one header value. Does not allocate.
///
/// Spaces and tabs around the value are ignored. A version 00 value has exactly 55 bytes. Of a
/// later version only the first 55 bytes are read; if more follow, the next byte must be `-`.
///
/// Returns `None` if the value has another length, digits that are not lower-case hexadecimal,
/// the version `ff`, or a zero id. The receiver must then start a new trace and ignore `tracestate`
/// ([specification](https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent)).
pub fn parse(value: &[u8]) -> Option<TraceParent> {
    match value {
        [b'0', b'0', b'-', fields @ ..] => match fields.first_chunk() {
            Some(fields) if value.len() == TRACEPARENT_LEN => parse_fields(fields),
            _ => parse_other(value),
        },
        _ => parse_other(value),
    }
}

/// Parses a header of another version, or with spaces around it.
#[cold]
fn parse_other(value: &[u8]) -> Option<TraceParent> {
    let (known, extra) = trim(value).split_first_chunk::<TRACEPARENT_LEN>()?;

    let [v1, v2, b'-', fields @ ..] = known else {
        return None;
    };
    match (hex::parse2(*v1, *v2)?, extra) {
        (0xff, _) => return None,
        (_, []) | (1.., [b'-', ..]) => {}
        _ => return None,
    }

    parse_fields(fields)
}

/// Parses trace id, span id and flags.
#[inline]
fn parse_fields(fields: &[u8; FIELDS_LEN]) -> Option<TraceParent> {
    let (trace, rest) = fields.split_first_chunk::<32>()?;
    let [b'-', rest @ ..] = rest else {
        return None;
    };
    let (span, rest) = rest.split_first_chunk::<16>()?;
    let [b'-', f1, f2] = rest else {
        return None;
    };
    let trace_id = hex::parse::<32, 16>(trace)?;
    let span_id = hex::parse16(span)?;
    let flags = TraceFlags::new(hex::parse2(*f1, *f2)?) & KNOWN_FLAGS;
    let parent = TraceParent {
        trace_id: TraceId::from_bytes(trace_id),
        span_id: SpanId::from_bytes(span_id),
        flags,
    };
    let valid = parent.trace_id != TraceId::INVALID && parent.span_id != SpanId::INVALID;
    valid.then_some(parent)
}

/// Returns a version 00 header value in lower case. Does not allocate.
///
/// Only the flags that level 2 defines are written. Zero ids are also written, but receivers
/// reject them: check [`SpanContext::is_valid`] first
/// ([specification](https://www.w3.org/TR/trace-context-2/#traceparent-header-field-values)).
pub fn write(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> [u8; TRACEPARENT_LEN] {
    // Both ids at once, padded to whole vectors.
    let mut ids = [0; 32];
    let (trace, rest) = ids.split_at_mut(16);
    trace.copy_from_slice(&trace_id.to_bytes());
    for (to, from) in rest.iter_mut().zip(span_id.to_bytes()) {
        *to = from;
    }
    let digits: [u8; 64] = hex::write(&ids);
    let (trace, rest) = digits.split_at(32);
    let (span, _) = rest.split_at(16);
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
    for (at, digits) in [(3, trace), (36, span)] {
        if let Some(field) = value.get_mut(at..at + digits.len()) {
            field.copy_from_slice(digits);
        }
    }
    let [.., last] = &mut value;
    *last += (flags & KNOWN_FLAGS).to_u8();
    value
}

/// Removes spaces and tabs at both ends.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
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
    fn parse_reads_every_field_of_version_00() {
        assert_eq!(flags_of(&format!("00-{TRACE}-{SPAN}-01")), Some(1));
    }

    #[test]
    fn version_00_with_anything_after_the_flags_is_invalid() {
        let end = ["-", ".", "0", "-00", ".0", "-extra", ",", "\0"];
        rejects(&end.map(|end| format!("00-{TRACE}-{SPAN}-01{end}")));
    }

    #[test]
    fn upper_case_digits_are_invalid_in_every_field() {
        rejects(&[
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
        ]);
    }

    #[test]
    fn version_has_two_hex_digits() {
        let version = ["", "0", "000", "0.", "g0", ".0", "  ", "0x"];
        rejects(&version.map(|version| format!("{version}-{TRACE}-{SPAN}-01")));
    }

    #[test]
    fn version_ff_is_invalid() {
        let end = ["", "-more"];
        rejects(&end.map(|end| format!("ff-{TRACE}-{SPAN}-01{end}")));
    }

    #[test]
    fn of_a_later_version_the_fields_of_version_00_are_read() {
        for version in 0x01..=0xfe {
            for end in ["", "-", "-extra-field", "-.\u{fc}"] {
                let value = format!("{version:02x}-{TRACE}-{SPAN}-01{end}");
                assert_eq!(flags_of(&value), Some(1), "{value:?}");
            }
        }
    }

    #[test]
    fn of_a_later_version_extra_fields_without_a_dash_are_invalid() {
        let end = [".future", "1", " x", ","];
        rejects(&end.map(|end| format!("cc-{TRACE}-{SPAN}-01{end}")));
        rejects(&[format!("cc-{TRACE}-{SPAN}-0"), format!("cc-{TRACE}-{SPAN}")]);
    }

    #[test]
    fn trace_id_has_32_digits_and_is_not_zero() {
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
    fn parent_id_has_16_digits_and_is_not_zero() {
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
    fn flags_have_two_hex_digits() {
        let flags = ["", "0", "001", ".0", "0.", "g1", "0x"];
        rejects(&flags.map(|flags| format!("00-{TRACE}-{SPAN}-{flags}")));
    }

    #[test]
    fn fields_without_dashes_between_them_are_invalid() {
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
    fn parse_keeps_sampled_and_random_and_clears_reserved_flags() {
        for flags in 0..=0xff {
            let value = format!("00-{TRACE}-{SPAN}-{flags:02x}");
            assert_eq!(flags_of(&value), Some(flags & 0x03), "{value:?}");
        }
    }

    #[test]
    fn write_emits_version_00_with_known_flags_only() {
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
        fn parse_accepts_any_bytes_without_panicking(value: Vec<u8>) {
            let _ = parse(&value);
        }

        #[test]
        fn parse_reads_back_what_write_wrote(trace in 1u128.., span in 1u64.., flags in 0..4u8) {
            let (trace_id, span_id, flags) =
                (TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags));
            let read = parse(&write(trace_id, span_id, flags));
            prop_assert_eq!(read, Some(TraceParent { trace_id, span_id, flags }));
        }

        #[test]
        fn one_changed_byte_is_rejected_or_read_unchanged(at in 0..TRACEPARENT_LEN, byte: u8) {
            let mut value = write(TraceId::from(u128::MAX / 3), SpanId::from(7), KNOWN_FLAGS);
            value[at] = byte;
            if let Some(read) = parse(&value) {
                let written = write(read.trace_id, read.span_id, read.flags);
                prop_assert_eq!(&written[3..53], &value[3..53]);
            }
        }
    }
}
