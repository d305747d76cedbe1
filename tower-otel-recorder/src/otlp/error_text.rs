//! Short, clean texts of errors and of collectors. A clean text has no credentials in URLs and no control characters.

use std::error::Error;

use crate::message::without_credentials;

const MAX_CHARS: usize = 300;

/// Returns the start of a clean text. A URL that would be cut is omitted, because its credentials might become visible.
pub(crate) fn shorten(mut text: String) -> String {
    if let Some((end, next)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        let last = text.rfind(' ').map_or(0, |space| space + 1);
        if next != ' ' && text.get(last..).is_some_and(|word| word.contains("://")) {
            text.truncate(last);
        }
    }
    text
}

/// Returns the texts of an error and its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some errors repeat the text of their cause.
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    clean(&text)
}

/// Returns a text that a collector has sent. Returns `None` if it is empty.
pub(crate) fn server_text(text: &[u8]) -> Option<String> {
    let text = clean(&String::from_utf8_lossy(text));
    (!text.is_empty()).then_some(text)
}

fn clean(text: &str) -> String {
    let printable = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    let text: String = text.chars().map(printable).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    without_credentials(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short_and_has_neither_credentials_nor_control_characters() {
        for (text, expected) in [
            ("", None),
            (" \r\n", None),
            ("a\u{1b}[31mb\nc", Some("a [31mb c")),
            (
                "for http://me:s3cret@host/x?k=s3cret",
                Some("for http://host/x"),
            ),
        ] {
            assert_eq!(server_text(text.as_bytes()).as_deref(), expected);
        }
        let long = server_text(&[b'x'; 10_000]).map(|text| shorten(text).len());
        assert_eq!(long, Some(MAX_CHARS));
        assert!(server_text(&[0xff, 0xfe]).is_some());
    }

    #[test]
    fn a_password_at_the_limit_is_removed() {
        for length in 240..310 {
            let text = format!("{} http://me:s3cret@host/", "x".repeat(length));
            let text = server_text(text.as_bytes()).map(shorten);
            let is_clean = text.is_some_and(|text| !text.contains("me") && text.len() <= MAX_CHARS);
            assert!(is_clean, "{length}");
        }
    }

    #[test]
    fn causes_are_named_once() {
        let inner = std::io::Error::other("refused");
        let outer = std::io::Error::other(inner);
        assert_eq!(with_causes(&outer), "refused");
    }
}
