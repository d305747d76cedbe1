//! A header list, read from its nearest end.
//!
//! Each proxy adds its entry at the end, so the last one was written by our neighbour and the first by anybody. Lists
//! are therefore read backwards, and nothing farther away can change how a nearer entry reads: not by an open
//! quote, not by bytes that are no text, not by length.

use http::{HeaderMap, HeaderName, HeaderValue, header::ValueIter};

/// How many entries are looked at, empty ones included. Chains of real proxies have a handful.
pub(super) const MAX_ENTRIES: usize = 32;

/// How long one entry may be, in bytes.
pub(super) const MAX_ENTRY: usize = 512;

/// The entries of all lines of a header, nearest first, blanks trimmed, empty ones left out.
///
/// An entry that is not printable ASCII is `None` and the walk goes on. An entry that is too long, a quote without
/// its pair, or one entry more than [`MAX_ENTRIES`] is `None` and ends the walk. So one header costs at most
/// `MAX_ENTRIES * MAX_ENTRY` steps, however long it is.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    lines: ValueIter<'a, HeaderValue>,
    rest: Option<&'a [u8]>,
    budget: usize,
    quotes: bool,
    over: bool,
}

impl<'a> Entries<'a> {
    /// A list whose entries may hold commas inside quoted strings.
    pub(super) fn quoted(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        Self {
            quotes: true,
            ..Self::plain(headers, name)
        }
    }

    /// A list in which a quote is a character like any other.
    pub(super) fn plain(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        Self {
            lines: headers.get_all(name).iter(),
            rest: None,
            budget: MAX_ENTRIES,
            quotes: false,
            over: false,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            let line = match self.rest.take() {
                Some(rest) => rest,
                None => self.lines.next_back()?.as_bytes(),
            };
            let cut = if self.budget == 0 {
                None
            } else {
                cut_last(line, self.quotes)
            };
            let Some((rest, entry)) = cut else {
                self.over = true;
                return Some(None);
            };
            self.budget -= 1;
            self.rest = rest;
            let entry = entry.trim_ascii();
            if !entry.is_empty() {
                let printable = entry.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'));
                return Some(std::str::from_utf8(entry).ok().filter(|_| printable));
            }
        }
        None
    }
}

/// Cuts a line before its last entry. `None` if that entry has no beginning within reach.
fn cut_last(line: &[u8], quotes: bool) -> Option<(Option<&[u8]>, &[u8])> {
    let mut inside = false;
    for (at, byte) in line.iter().enumerate().rev().take(MAX_ENTRY + 1) {
        match byte {
            b',' if !inside => return Some((line.get(..at), line.get(at + 1..)?)),
            b'"' if quotes && !(inside && is_escaped(line, at)) => inside = !inside,
            _ => {}
        }
    }
    (!inside && line.len() <= MAX_ENTRY).then_some((None, line))
}

/// Whether the byte at `at` follows an odd number of backslashes.
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
    fn the_last_entry_of_the_last_line_is_nearest() {
        let headers = headers(&[b"a, b", b"", b" c ,,\td"]);
        let entries: Vec<_> = Entries::plain(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("d"), Some("c"), Some("b"), Some("a")]);
    }

    #[test]
    fn a_comma_in_quotes_is_part_of_its_entry() {
        let headers = headers(&[br#"a, "b, \", c\\", d"#]);
        let quoted: Vec<_> = Entries::quoted(&headers, &FORWARDED).collect();
        assert_eq!(quoted, [Some("d"), Some(r#""b, \", c\\""#), Some("a")]);
    }

    #[test]
    fn an_open_quote_does_not_reach_a_nearer_entry() {
        let headers = headers(&[br#"a", b, c"#]);
        let entries: Vec<_> = Entries::quoted(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("c"), Some("b"), None]);
    }

    #[test]
    fn bytes_that_are_no_text_cost_only_their_entry() {
        let headers = headers(&[b"a,\xff\xfe,c"]);
        let entries: Vec<_> = Entries::plain(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("c"), None, Some("a")]);
    }

    #[test]
    fn a_list_too_long_ends_unreadable() {
        for line in [
            "a,".repeat(1000),
            ",".repeat(1000),
            format!("{},", "a".repeat(9000)),
        ] {
            let headers = headers(&[line.as_bytes()]);
            let entries: Vec<_> = Entries::plain(&headers, &FORWARDED).collect();
            assert!(entries.len() <= MAX_ENTRIES + 1);
            assert_eq!(entries.last(), Some(&None));
        }
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let longest = "a".repeat(MAX_ENTRY);
        for line in [
            longest.clone(),
            format!("x,{longest}"),
            format!("{longest},x"),
        ] {
            let headers = headers(&[line.as_bytes()]);
            assert!(
                Entries::plain(&headers, &FORWARDED).all(|entry| entry.is_some()),
                "{line}"
            );
        }
        let headers = headers(&[vec!["a"; MAX_ENTRIES].join(",").as_bytes()]);
        let entries: Vec<_> = Entries::plain(&headers, &FORWARDED).collect();
        assert_eq!(entries, [Some("a"); MAX_ENTRIES]);
    }

    proptest! {
        #[test]
        fn any_lines_are_read_within_the_limits(
            lines in proptest::collection::vec("[ -~\t]{0,80}|[\",\\\\ab ]{0,80}", 0..6),
            quotes in any::<bool>(),
        ) {
            let lines: Vec<_> = lines.iter().map(|l| l.as_bytes()).collect();
            let headers = headers(&lines);
            let entries = Entries { quotes, ..Entries::plain(&headers, &FORWARDED) };
            let entries: Vec<_> = entries.collect();
            prop_assert!(entries.len() <= MAX_ENTRIES + 1);
            prop_assert!(entries.iter().flatten().all(|e| !e.is_empty() && e.len() <= MAX_ENTRY));
        }
    }
}
