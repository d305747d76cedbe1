//! The maximum length of texts from a request.
//!
//! Any client can send long texts. The OpenTelemetry SDK has no limit by default, and a collector refuses a complete batch if it
//! is too large.

/// The maximum number of characters of a text. It equals the default of the recorder.
pub(crate) const MAX_CHARS: usize = 4096;

/// Returns the text up to the limit.
#[inline]
pub(crate) fn cut(text: &str) -> &str {
    // A text has no more characters than bytes.
    if text.len() <= MAX_CHARS {
        text
    } else {
        cut_long(text)
    }
}

#[cold]
fn cut_long(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_CHARS);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Cuts the text at the limit.
#[inline]
pub(crate) fn cut_string(mut text: String) -> String {
    text.truncate(cut(&text).len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_after_4096_characters() {
        for character in ["a", "\u{e9}", "\u{20ac}", "\u{1f600}"] {
            for length in [0, 1, 2048, 4095, 4096, 4097, 10_000] {
                let text = character.repeat(length);
                let expected = character.repeat(length.min(4096));
                assert!(cut(&text) == expected, "{length} of {character}");
                assert!(cut_string(text) == expected, "{length} of {character}");
            }
        }
    }
}
