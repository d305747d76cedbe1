//! The limits of a span, and cutting of texts.

use std::borrow::Cow;

use opentelemetry_sdk::trace::SpanLimits;

/// The limits of a span.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// The maximum numbers of attributes, events and links.
    pub(crate) span: SpanLimits,
    pub(crate) text: TextLimits,
}

/// The limits of the texts of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextLimits {
    /// The maximum number of characters of an attribute's value.
    pub(crate) length: usize,
    /// The maximum number of bytes of all texts together.
    pub(crate) bytes: usize,
}

/// The maximum number of characters of a name and of a status description. The specification has no option for it.
///
/// <https://opentelemetry.io/docs/specs/otel/common/#attribute-limits>
pub(crate) const NAME_LENGTH: usize = 4096;

impl Default for TextLimits {
    fn default() -> Self {
        Self {
            length: 4096,
            bytes: 64 * 1024,
        }
    }
}

impl Limits {
    /// Returns the same limits with another maximum number of bytes.
    pub(crate) const fn with_bytes(mut self, bytes: usize) -> Self {
        self.text.bytes = bytes;
        self
    }
}

/// Returns the first `length` characters of a text. Does not count characters if the text has at most `length` bytes.
#[inline]
pub(crate) fn cut(text: &str, length: usize) -> &str {
    if text.len() <= length {
        text
    } else {
        cut_long(text, length)
    }
}

#[cold]
fn cut_long(text: &str, length: usize) -> &str {
    let end = text.char_indices().nth(length).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Cuts a text like [`cut`], and frees unused capacity.
pub(crate) fn cut_cow(text: Cow<'static, str>, length: usize) -> Cow<'static, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text, length)),
        Cow::Owned(mut text) => {
            let end = cut(&text, length).len();
            text.truncate(end);
            text.shrink_to_fit();
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_a_number_of_characters() {
        for (text, length, expected) in [
            ("", 0, ""),
            ("a", 0, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("\u{e9}\u{e9}\u{e9}", 3, "\u{e9}\u{e9}\u{e9}"),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", 3, "\u{e9}\u{e9}\u{e9}"),
            ("a\u{1f600}b", 2, "a\u{1f600}"),
            ("abc", usize::MAX, "abc"),
        ] {
            assert_eq!(cut(text, length), expected);
            assert_eq!(cut_cow(Cow::Borrowed(text), length), expected);
            assert_eq!(cut_cow(Cow::Owned(text.to_owned()), length), expected);
        }
    }
}
