//! A comma-separated header list, read from its end.
//!
//! Each proxy appends its entry, so the last entry is from the nearest proxy and the first may be from the client.
//! The list is therefore read backwards. An invalid entry (an open quote, bytes that are not text, too many bytes)
//! does not affect the entries after it.

use http::{HeaderMap, HeaderName, HeaderValue, header::ValueIter};

/// The maximum number of entries that are read, including empty entries.
pub(crate) const MAX_ENTRIES: usize = 32;

/// The maximum length of an entry in bytes.
pub(crate) const MAX_ENTRY: usize = 512;

/// An iterator over the entries of all lines of a header, last entry first, trimmed, without empty entries.
///
/// An entry that is not printable ASCII yields `None`. An entry that is too long, an unbalanced quote, and the entry
/// after the first [`MAX_ENTRIES`] yield `None` and end the iteration. One header costs at most
/// `MAX_ENTRIES * MAX_ENTRY` steps, regardless of its length.
#[derive(Debug)]
pub(crate) struct HeaderList<'a> {
    lines: ValueIter<'a, HeaderValue>,
    line: Option<&'a [u8]>,
    remaining_entries: usize,
    quoted: bool,
    done: bool,
}

impl<'a> HeaderList<'a> {
    /// Creates a list in which quoted strings may contain commas.
    pub(crate) fn quoted(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        Self {
            quoted: true,
            ..Self::plain(headers, name)
        }
    }

    /// Creates a list in which quotes have no meaning.
    pub(crate) fn plain(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        Self {
            lines: headers.get_all(name).iter(),
            line: None,
            remaining_entries: MAX_ENTRIES,
            quoted: false,
            done: false,
        }
    }
}

impl<'a> Iterator for HeaderList<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let line = match self.line.take() {
                Some(line) => line,
                None => self.lines.next_back()?.as_bytes(),
            };
            let split = if self.remaining_entries == 0 {
                None
            } else {
                split_last(line, self.quoted)
            };
            let Some((before, entry)) = split else {
                self.done = true;
                return Some(None);
            };
            self.remaining_entries -= 1;
            self.line = before;
            let entry = entry.trim_ascii();
            if !entry.is_empty() {
                let printable = entry.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'));
                return Some(std::str::from_utf8(entry).ok().filter(|_| printable));
            }
        }
        None
    }
}

/// Splits a line before its last entry. Returns `None` if the entry is too long or has an unbalanced quote.
fn split_last(line: &[u8], quoted: bool) -> Option<(Option<&[u8]>, &[u8])> {
    let mut in_quotes = false;
    for (at, byte) in line.iter().enumerate().rev().take(MAX_ENTRY + 1) {
        match byte {
            b',' if !in_quotes => return Some((line.get(..at), line.get(at + 1..)?)),
            b'"' if quoted && !(in_quotes && is_escaped(line, at)) => in_quotes = !in_quotes,
            _ => {}
        }
    }
    (!in_quotes && line.len() <= MAX_ENTRY).then_some((None, line))
}

/// Returns `true` if an odd number of backslashes precedes the byte at `at`.
fn is_escaped(line: &[u8], at: usize) -> bool {
    let before = line.iter().take(at).rev().take(MAX_ENTRY);
    before.take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::header::FORWARDED;
    use proptest::prelude::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (FORWARDED, HeaderValue::from_bytes(line).unwrap()))
            .collect()
    }

    #[test]
    fn the_last_entry_of_the_last_line_is_first() {
        let headers = headers(&[b"a, b", b"", b" c ,,\td"]);
        let entries: Vec<_> = HeaderList::plain(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("d"), Some("c"), Some("b"), Some("a")]);
    }

    #[test]
    fn a_comma_in_quotes_does_not_split() {
        let headers = headers(&[br#"a, "b, \", c\\", d"#]);
        let quoted: Vec<_> = HeaderList::quoted(&headers, &FORWARDED).collect();
        assert_eq!(quoted, [Some("d"), Some(r#""b, \", c\\""#), Some("a")]);
    }

    #[test]
    fn an_open_quote_does_not_affect_later_entries() {
        let headers = headers(&[br#"a", b, c"#]);
        let entries: Vec<_> = HeaderList::quoted(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("c"), Some("b"), None]);
    }

    #[test]
    fn bytes_that_are_not_text_invalidate_one_entry() {
        let headers = headers(&[b"a,\xff\xfe,c"]);
        let entries: Vec<_> = HeaderList::plain(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("c"), None, Some("a")]);
    }

    #[test]
    fn a_list_above_the_limits_ends_with_none() {
        for line in [
            "a,".repeat(1000),
            ",".repeat(1000),
            format!("{},", "a".repeat(9000)),
        ] {
            let headers = headers(&[line.as_bytes()]);
            let entries: Vec<_> = HeaderList::plain(&headers, &FORWARDED).collect();
            assert!(entries.len() <= MAX_ENTRIES + 1);
            assert_eq!(entries.last(), Some(&None));
        }
    }

    #[test]
    fn a_list_at_the_limits_is_read() {
        let longest = "a".repeat(MAX_ENTRY);
        for line in [
            longest.clone(),
            format!("x,{longest}"),
            format!("{longest},x"),
        ] {
            let headers = headers(&[line.as_bytes()]);
            assert!(
                HeaderList::plain(&headers, &FORWARDED).all(|entry| entry.is_some()),
                "{line}"
            );
        }
        let headers = headers(&[vec!["a"; MAX_ENTRIES].join(",").as_bytes()]);
        let entries: Vec<_> = HeaderList::plain(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("a"); MAX_ENTRIES]);
    }

    proptest! {
        #[test]
        fn any_lines_are_read_within_the_limits(
            lines in proptest::collection::vec("[ -~\t]{0,80}|[\",\\\\ab ]{0,80}", 0..6),
            quoted in any::<bool>(),
        ) {
            let lines: Vec<_> = lines.iter().map(|l| l.as_bytes()).collect();
            let headers = headers(&lines);
            let entries = HeaderList { quoted, ..HeaderList::plain(&headers, &FORWARDED) };
            let entries: Vec<_> = entries.collect();
            prop_assert!(entries.len() <= MAX_ENTRIES + 1);
            prop_assert!(entries.iter().flatten().all(|e| !e.is_empty() && e.len() <= MAX_ENTRY));
        }
    }
}
