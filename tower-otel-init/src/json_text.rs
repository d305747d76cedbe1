//! Texts in JSON.

use std::fmt::Write;

/// Writes the key of a member, with its colon.
pub(crate) fn write_key(json: &mut String, name: &str) {
    write_string(json, name);
    json.push(':');
}

/// Writes a text as a JSON string.
pub(crate) fn write_string(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(special) {
        let (plain, escaped) = rest.split_at(at);
        json.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next() {
            Some(quoted @ ('"' | '\\')) => json.extend(['\\', quoted]),
            // Writing to a string does not fail.
            Some(control) => drop(write!(json, "\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = chars.as_str();
    }
    json.push_str(rest);
    json.push('"');
}
