//! Bounds the length of label values. They are stored for each series.

use std::borrow::Cow;

/// The maximum length of a custom label's value and of a host, in bytes. Both may come from clients.
pub(crate) const MAX_VALUE_LENGTH: usize = 128;

/// The maximum length of a route, in bytes. Routes are part of the application, so they may be longer.
pub(crate) const MAX_ROUTE_LENGTH: usize = 256;

/// The end of a value that is cut.
const CUT_MARK: &str = "…";

/// Cuts a value that is longer than `length` bytes at a character boundary, and appends [`CUT_MARK`]. The result has at most
/// `length` bytes.
#[inline]
pub(crate) fn cut(value: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    if value.len() <= length {
        return value;
    }
    cut_longer(&value, length)
}

#[cold]
fn cut_longer(value: &str, length: usize) -> Cow<'static, str> {
    let mut lengths = (0..=length.saturating_sub(CUT_MARK.len())).rev();
    let start = lengths.find_map(|length| value.get(..length));
    Cow::Owned(start.unwrap_or_default().to_owned() + CUT_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_value_is_cut_on_a_character_and_marked() {
        for (value, text) in [
            ("", ""),
            ("abcdef", "abcdef"),
            ("abcdefg", "abc…"),
            ("äöü", "äöü"),
            ("äöüa", "ä…"),
            ("🦀🦀", "…"),
        ] {
            assert_eq!(cut(value.into(), 6), text);
        }
    }
}
