//! `tracestate`: a list of `key=value` members, one for each tracing system the request has met,
//! newest first.
//!
//! ```
//! use tower_otel_propagate::w3c::tracestate::{self, Member};
//!
//! // Two header lines, one list.
//! let lines = ["congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo@eu=x"];
//! let mut list = tracestate::parse(lines.map(str::as_bytes)).expect("well-formed lines");
//!
//! list.push_front(Member::new("rojo", "1").expect("a valid member"));
//! assert_eq!(list.to_header(), "rojo=1,congo=t61rcWkgMzE,congo@eu=x");
//! ```

use std::fmt;

/// The members a list can have ([specification](https://www.w3.org/TR/trace-context-2/#list)).
pub const MAX_MEMBERS: usize = 32;

/// The characters a span of ours sends at most, commas included. The specification asks for no less
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-limits)), and every request
/// we send pays for more.
pub const MAX_CHARS: usize = 512;

/// Members longer than this are the first to go when a list is shortened.
const LONG_MEMBER: usize = 128;

const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;

/// One valid `key=value` of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Member<'a> {
    /// A member, if both halves follow the rules of level 2, else `None`.
    ///
    /// A [key](https://www.w3.org/TR/trace-context-2/#key) starts with `a`-`z` or `0`-`9` and has
    /// up to 255 more of these or of `_-*/@`. A
    /// [value](https://www.w3.org/TR/trace-context-2/#value) has 1 to 256 printable ASCII
    /// characters, none of them `,` or `=`, and does not end in a space.
    pub fn new(key: &'a str, value: &'a str) -> Option<Self> {
        let valid = valid_key(key.as_bytes()) && valid_value(value.as_bytes());
        valid.then_some(Self { key, value })
    }

    /// Whose member it is.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// What its owner wrote; only the owner knows what it means.
    pub fn value(&self) -> &'a str {
        self.value
    }

    fn chars(&self) -> usize {
        self.key.len() + 1 + self.value.len()
    }
}

fn valid_key(key: &[u8]) -> bool {
    let start = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    key.len() <= MAX_KEY
        && key.first().is_some_and(start)
        && key.iter().all(|b| start(b) || b"_-*/@".contains(b))
}

fn valid_value(value: &[u8]) -> bool {
    value.len() <= MAX_VALUE
        && value.last().is_some_and(|b| *b != b' ')
        && value
            .iter()
            .all(|b| matches!(b, b' '..=b'~' if !b",=".contains(b)))
}

/// What a list holds where it holds no member.
const UNUSED: Member<'static> = Member { key: "", value: "" };

/// Up to [`MAX_MEMBERS`] members in the order of the header. Borrows its text and does not
/// allocate.
#[derive(Clone)]
pub struct List<'a> {
    slots: [Member<'a>; MAX_MEMBERS],
    len: usize,
}

/// Reads all lines of the header as one list. Does not allocate.
///
/// Empty lines and empty members are skipped, spaces and tabs around a member ignored, keys that
/// occur twice kept.
///
/// Returns `None` if the list is to be discarded: one member is malformed, or there are more than
/// [`MAX_MEMBERS`]. That says nothing about `traceparent`, which stays as valid as it was
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values)).
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<List<'a>> {
    let mut list = List::default();
    for line in lines {
        for member in std::str::from_utf8(line).ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if !member.is_empty() {
                let (key, value) = member.split_once('=')?;
                list.push(Member::new(key, value)?)?;
            }
        }
    }
    Some(list)
}

impl<'a> List<'a> {
    /// The members, newest first.
    pub fn members(&self) -> &[Member<'a>] {
        self.slots.get(..self.len).unwrap_or_default()
    }

    /// Puts a member in front, in place of any with the same key. A full list loses its last one
    /// ([specification](https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field)).
    pub fn push_front(&mut self, member: Member<'a>) {
        while let Some(old) = self.members().iter().position(|m| m.key == member.key) {
            self.remove(old);
        }
        self.len = (self.len + 1).min(MAX_MEMBERS);
        self.slots
            .get_mut(..self.len)
            .unwrap_or_default()
            .rotate_right(1);
        let [first, ..] = &mut self.slots;
        *first = member;
    }

    /// Drops whole members until at most `max` characters are left: those of more than 128
    /// characters first, then any, always from the right
    /// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-limits)).
    pub fn shorten(&mut self, max: usize) {
        while self.chars() > max {
            let long = self.members().iter().rposition(|m| m.chars() > LONG_MEMBER);
            self.remove(long.unwrap_or(self.len.saturating_sub(1)));
        }
    }

    /// The list as one header value; empty if the list is, and then not worth sending.
    pub fn to_header(&self) -> String {
        let mut header = String::with_capacity(self.chars());
        for member in self.members() {
            if !header.is_empty() {
                header.push(',');
            }
            header.push_str(member.key);
            header.push('=');
            header.push_str(member.value);
        }
        header
    }

    /// Puts a member last, whatever its key; `None` if the list is full.
    pub(crate) fn push(&mut self, member: Member<'a>) -> Option<()> {
        *self.slots.get_mut(self.len)? = member;
        self.len += 1;
        Some(())
    }

    pub(crate) fn reverse(&mut self) {
        self.slots.get_mut(..self.len).unwrap_or_default().reverse();
    }

    fn remove(&mut self, at: usize) {
        if let Some(tail) = self.slots.get_mut(at..self.len) {
            tail.rotate_left(1);
            self.len -= 1;
        }
    }

    fn chars(&self) -> usize {
        let members: usize = self.members().iter().map(Member::chars).sum();
        members + self.len.saturating_sub(1)
    }
}

impl Default for List<'_> {
    fn default() -> Self {
        Self {
            slots: [UNUSED; MAX_MEMBERS],
            len: 0,
        }
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members()).finish()
    }
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

    /// What a receiver of `lines` would send on, if it sent everything.
    fn read(lines: &[&str]) -> Option<String> {
        parse(lines.iter().map(|line| line.as_bytes())).map(|list| list.to_header())
    }

    fn accepts(lines: &[&str], expected: &str) {
        assert_eq!(read(lines).as_deref(), Some(expected), "{lines:?}");
    }

    fn discards(line: &str) {
        assert_eq!(read(&[line]), None, "{line:?}");
    }

    fn numbered(members: usize) -> String {
        let members: Vec<_> = (1..=members).map(|n| format!("k{n}={n}")).collect();
        members.join(",")
    }

    #[test]
    fn members_keep_their_order() {
        accepts(&["foo=1,bar=2,baz=3"], "foo=1,bar=2,baz=3");
    }

    #[test]
    fn several_lines_are_one_list_in_order() {
        accepts(
            &["foo=1,bar=2", "baz=3", "rojo=4"],
            "foo=1,bar=2,baz=3,rojo=4",
        );
    }

    #[test]
    fn empty_lines_and_members_are_skipped() {
        for lines in [&[""][..], &[], &[",, ,\t,"], &["", " ", "\t"]] {
            accepts(lines, "");
        }
        accepts(&["", "foo=1,", ",,bar=2", ""], "foo=1,bar=2");
    }

    #[test]
    fn spaces_and_tabs_around_members_are_ignored() {
        accepts(&[" foo=1\t,\t bar=2 ", "\tbaz=3"], "foo=1,bar=2,baz=3");
    }

    #[test]
    fn thirty_two_members_are_kept_and_thirty_three_discard_the_list() {
        accepts(&[&numbered(32)], &numbered(32));
        accepts(&[&numbered(31), "k32=32"], &numbered(32));
        discards(&numbered(33));
        assert_eq!(read(&[&numbered(32), "k33=33"]), None);
    }

    #[test]
    fn keys_of_level_2_have_no_inner_structure() {
        let keys = [
            "a",
            "0",
            "9a",
            "foo@",
            "foo@@bar",
            "a@b@c",
            "foo@-",
            "t@s_-*/",
            "0123456789abcdefghijklmnopqrstuvwxyz",
            "tenant@fifteen-chars-x",
        ];
        for key in keys.map(str::to_owned).into_iter().chain(["z".repeat(256)]) {
            let line = format!("{key}=1");
            accepts(&[&line], &line);
        }
    }

    #[test]
    fn a_bad_key_discards_the_list() {
        let keys = [
            "", "@foo", "_a", "-a", "*a", "/a", "Foo", "fOO", "foo ", "f oo", "f\to", "foo.",
            "foo:", "fo\u{f6}",
        ];
        for key in keys.map(str::to_owned).into_iter().chain(["z".repeat(257)]) {
            discards(&format!("ok=1,{key}=1"));
        }
    }

    #[test]
    fn values_are_printable_ascii_with_spaces_inside_or_in_front() {
        let all: String = (0x20..=0x7eu8)
            .map(char::from)
            .filter(|c| !",=".contains(*c))
            .collect();
        for value in [
            "1".into(),
            "  1".into(),
            "a  b".into(),
            all,
            "v".repeat(256),
            format!("{}v", " ".repeat(255)),
        ] {
            let line = format!("foo={value}");
            accepts(&[&line], &line);
        }
    }

    #[test]
    fn a_space_after_a_value_is_not_part_of_it() {
        accepts(&["foo=  1  ,bar=2 "], "foo=  1,bar=2");
        assert_eq!(Member::new("foo", "1 "), None);
    }

    #[test]
    fn a_bad_value_discards_the_list() {
        let values = ["", " ", "a=b", "=", "\t1", "a\tb", "\u{7f}", "\0", "\u{fc}"];
        for value in values
            .map(str::to_owned)
            .into_iter()
            .chain(["v".repeat(257)])
        {
            discards(&format!("ok=1,foo={value}"));
        }
    }

    #[test]
    fn a_member_without_a_value_discards_the_list() {
        discards("foo");
        discards("ok=1,foo");
    }

    #[test]
    fn bytes_that_are_no_text_discard_the_list() {
        assert!(parse([&b"foo=1"[..], b"bar=\xff"]).is_none());
    }

    #[test]
    fn keys_that_occur_twice_are_kept() {
        accepts(&["foo=1,bar=2,foo=3"], "foo=1,bar=2,foo=3");
        accepts(&["foo=1", "foo=1"], "foo=1,foo=1");
    }

    #[test]
    fn a_pushed_member_goes_first_and_replaces_its_former_self() {
        let mut list = parse([&b"foo=1,own=2,bar=3,own=4"[..]]).unwrap();
        list.push_front(Member::new("own", "5").unwrap());
        assert_eq!(list.to_header(), "own=5,foo=1,bar=3");
        list.push_front(Member::new("new", "6").unwrap());
        assert_eq!(list.to_header(), "new=6,own=5,foo=1,bar=3");
    }

    #[test]
    fn a_member_pushed_as_the_33rd_drops_the_right_most() {
        let full = numbered(32);
        let mut list = parse([full.as_bytes()]).unwrap();
        list.push_front(Member::new("own", "0").unwrap());
        assert_eq!(list.to_header(), format!("own=0,{}", numbered(31)));

        list.push_front(Member::new("k31", "moved").unwrap());
        assert_eq!(
            list.to_header(),
            format!("k31=moved,own=0,{}", numbered(30))
        );
    }

    #[test]
    fn what_fits_is_not_shortened() {
        let line = format!("a={},b={},c={}", "x".repeat(254), "y".repeat(249), "z");
        assert_eq!(line.len(), MAX_CHARS);
        let mut list = parse([line.as_bytes()]).unwrap();
        list.shorten(MAX_CHARS);
        assert_eq!(list.to_header(), line);
    }

    #[test]
    fn long_members_go_first_from_the_right_then_any_from_the_right() {
        let (long, edge) = ("x".repeat(127), "y".repeat(126));
        let line = format!("a={long},b={edge},c={long},d={edge},e=1");
        for (max, left) in [
            (line.len(), line.clone()),
            (line.len() - 1, format!("a={long},b={edge},d={edge},e=1")),
            (300, format!("b={edge},d={edge},e=1")),
            (260, format!("b={edge},d={edge}")),
            (256, format!("b={edge}")),
            (0, String::new()),
        ] {
            let mut list = parse([line.as_bytes()]).unwrap();
            list.shorten(max);
            assert_eq!(list.to_header(), left, "{max}");
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let member = "[a-z0-9][a-z0-9_@*/-]{0,20}=[ -+.-<>-~]{0,140}[!-+.-<>-~]";
        proptest::collection::vec(member, 0..=MAX_MEMBERS).prop_map(|members| members.join(","))
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(lines: Vec<Vec<u8>>) {
            let _ = parse(lines.iter().map(Vec::as_slice));
        }

        #[test]
        fn a_valid_list_is_written_as_it_was_read(line in line()) {
            prop_assert_eq!(read(&[&line]), Some(line));
        }

        #[test]
        fn what_was_shortened_is_short_and_valid(line in line(), max in 0usize..2000) {
            let mut list = parse([line.as_bytes()]).unwrap();
            list.shorten(max);
            let header = list.to_header();
            prop_assert!(header.len() <= max);
            prop_assert_eq!(header.capacity(), header.len());
            prop_assert_eq!(read(&[&header]), Some(header));
        }

        #[test]
        fn a_pushed_member_is_first_and_alone(line in line(), key in "[a-z]") {
            let mut list = parse([line.as_bytes()]).unwrap();
            let own = Member::new(&key, "own").unwrap();
            list.push_front(own);
            prop_assert_eq!(list.members().first(), Some(&own));
            prop_assert_eq!(list.members().iter().filter(|m| m.key() == key).count(), 1);
        }
    }
}
