//! Reads the needed fields of an answer in JSON.

use crate::otlp::{answer::Answer, error_text::server_text};

/// Reads an `ExportTraceServiceResponse`. Missing fields are treated as absent, because the HTTP status shows that the request
/// was accepted.
pub(crate) fn accepted(response: &[u8]) -> Answer {
    let response = String::from_utf8_lossy(response);
    let rejected = value(&response, &["rejectedSpans", "rejected_spans"]);
    let message = value(&response, &["errorMessage", "error_message"]);
    Answer::Accepted {
        rejected: rejected.map_or(0, |text| number(text.trim_start_matches('"'))),
        message: message
            .and_then(|text| text.strip_prefix('"'))
            .and_then(|text| server_text(string(text).as_bytes())),
    }
}

/// Returns the text from the value of the first of these keys on. Keys inside strings do not match, because their quotes are
/// escaped.
fn value<'a>(json: &'a str, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| {
        let (_, after) = json.split_once(&format!("\"{key}\""))?;
        Some(after.trim_start().strip_prefix(':')?.trim_start())
    })
}

/// Reads a number, with or without quotes. Returns 0 if it is not a natural number.
fn number(text: &str) -> u64 {
    let end = text.find(|character: char| !character.is_ascii_digit());
    let digits = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Reads the rest of a string, up to its quote. Escaped characters that are not printable become spaces.
fn string(text: &str) -> String {
    let mut read = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => match characters.next() {
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok();
                    let character = code.and_then(char::from_u32);
                    read.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some('n' | 'r' | 't' | 'b' | 'f') => read.push(' '),
                other => read.extend(other),
            },
            character => read.push(character),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_spans_and_the_message_are_read() {
        for (json, rejected, message) in [
            ("", 0, None),
            ("{}", 0, None),
            (r#"{"partialSuccess":{}}"#, 0, None),
            (
                r#"{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too \"old\"\nnow \u00e9"}}"#,
                3,
                Some("too \"old\" now \u{e9}"),
            ),
            (r#"{"partialSuccess":{"rejected_spans":7}}"#, 7, None),
            (r#"{"partialSuccess":{"rejectedSpans":-7}}"#, 0, None),
            (
                r#"{"errorMessage":"\"rejectedSpans\":9 http://me:s3cret@h"}"#,
                0,
                Some("\"rejectedSpans\":9 http://h"),
            ),
            (r#"{"errorMessage":"broken \u12"#, 0, Some("broken \u{12}")),
        ] {
            let expected = Answer::Accepted {
                rejected,
                message: message.map(|text| text.replace('\u{12}', "").trim().to_owned()),
            };
            assert_eq!(accepted(json.as_bytes()), expected, "{json}");
        }
    }
}
