//! A cache of the last host that this thread parsed.
//!
//! Most requests of a thread have the same host. A comparison takes a third of the time of parsing.

use std::{cell::RefCell, ops::Range};

use crate::host_port::HostPort;

/// The maximum length of a stored text, in bytes. Longer texts are parsed every time.
const MAX_LENGTH: usize = 64;

thread_local! {
    static LAST: RefCell<Option<ParsedHost>> = const { RefCell::new(None) };
}

/// A text that was parsed, without an allocation.
struct ParsedHost {
    text: [u8; MAX_LENGTH],
    length: usize,
    host: Range<usize>,
    port: Option<u16>,
}

impl ParsedHost {
    /// Returns `None` if the text is too long.
    fn new(text: &str, parsed: HostPort<'_>) -> Option<Self> {
        let mut copy = [0; MAX_LENGTH];
        copy.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        // An IPv6 address has a bracket before it.
        let start = usize::from(text.starts_with('['));
        Some(Self {
            text: copy,
            length: text.len(),
            host: start..start + parsed.host.len(),
            port: parsed.port,
        })
    }

    /// Returns host and port if this is the text that was parsed.
    #[inline]
    fn result_for<'a>(&self, text: &'a str) -> Option<HostPort<'a>> {
        if self.text.get(..self.length)? != text.as_bytes() {
            return None;
        }
        Some(HostPort {
            host: text.get(self.host.clone())?,
            port: self.port,
        })
    }
}

/// Returns the same result as [`HostPort::parse`].
#[inline]
pub(crate) fn parse(text: &str) -> Option<HostPort<'_>> {
    let last = LAST.with(|last| last.try_borrow().ok()?.as_ref()?.result_for(text));
    last.or_else(|| parse_and_store(text))
}

fn parse_and_store(text: &str) -> Option<HostPort<'_>> {
    let parsed = HostPort::parse(text)?;
    if let Some(stored) = ParsedHost::new(text, parsed) {
        LAST.set(Some(stored));
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_parsed_as_without_the_last_host() {
        let long = ["a".repeat(MAX_LENGTH), "b".repeat(MAX_LENGTH + 1)];
        let texts = [
            "a",
            "a:80",
            "a:8",
            "",
            "[::1]:5000",
            "[::1]",
            "a b",
            "a:0",
            "::1",
        ];
        let texts = || texts.into_iter().chain(long.iter().map(String::as_str));
        for first in texts() {
            for second in texts() {
                for text in [first, second, second] {
                    assert_eq!(parse(text), HostPort::parse(text), "{first} {second}");
                }
            }
        }
    }
}
