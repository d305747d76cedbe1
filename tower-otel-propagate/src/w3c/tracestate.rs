//! The `tracestate` header: a list of `key=value` members, one for each tracing system that has seen
//! the request, newest first
//! ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-header)).

use std::fmt;

/// The maximum number of members
/// ([specification](https://www.w3.org/TR/trace-context-2/#list)).
pub(crate) const MAX_MEMBERS: usize = 32;

/// The maximum length of the list that a span of this process stores and sends, in characters, commas
/// included. The specification requires at least this many
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-limits)).
pub(crate) const MAX_CHARS: usize = 512;

/// Members longer than this are removed first when a list is shortened.
const LONG_MEMBER: usize = 128;

const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;

/// One valid `key=value` of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Member<'a> {
    /// Creates a member. Returns `None` if the key or the value breaks the rules of level 2.
    ///
    /// A [key](https://www.w3.org/TR/trace-context-2/#key) starts with `a`-`z` or `0`-`9`, followed
    /// by up to 255 of these or of `_-*/@`. A
    /// [value](https://www.w3.org/TR/trace-context-2/#value) has 1 to 256 printable ASCII
    /// characters except `,` and `=`, and does not end in a space.
    pub(crate) fn new(key: &'a str, value: &'a str) -> Option<Self> {
        let valid = valid_key(key.as_bytes()) && valid_value(value.as_bytes());
        valid.then_some(Self { key, value })
    }

    /// Returns the key, which identifies a tracing system.
    pub(crate) fn key(&self) -> &'a str {
        self.key
    }

    /// Returns the value, opaque to every other tracing system.
    pub(crate) fn value(&self) -> &'a str {
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

/// Fills the unused places of a list's array.
const EMPTY_MEMBER: Member<'static> = Member { key: "", value: "" };

/// Up to [`MAX_MEMBERS`] members in the order of the header. Borrows its text and does not
/// allocate.
#[derive(Clone)]
pub(crate) struct List<'a> {
    array: [Member<'a>; MAX_MEMBERS],
    len: usize,
}

/// Parses all lines of the header as one list. Does not allocate.
///
/// Empty lines and empty members are skipped. Spaces and tabs around a member are ignored. Duplicate keys
/// are accepted.
///
/// Returns `None` if one member is malformed or there are more than [`MAX_MEMBERS`]: the whole list
/// is then discarded, and `traceparent` stays valid
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values)).
pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<List<'a>> {
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
    /// Returns the members, newest first.
    pub(crate) fn members(&self) -> &[Member<'a>] {
        self.array.get(..self.len).unwrap_or_default()
    }

    /// Inserts a member in front and removes any others with the same key. If the list is full, the
    /// last member is removed
    /// ([specification](https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field)).
    pub(crate) fn push_front(&mut self, member: Member<'a>) {
        while let Some(old) = self.members().iter().position(|m| m.key == member.key) {
            self.remove(old);
        }
        self.len = (self.len + 1).min(MAX_MEMBERS);
        self.array
            .get_mut(..self.len)
            .unwrap_or_default()
            .rotate_right(1);
        let [first, ..] = &mut self.array;
        *first = member;
    }

    /// Removes whole members until at most `max` characters are left: first those of more than 128
    /// characters, then any, from the right
    /// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-limits)).
    pub(crate) fn shorten(&mut self, max: usize) {
        while self.chars() > max {
            let long = self.members().iter().rposition(|m| m.chars() > LONG_MEMBER);
            self.remove(long.unwrap_or(self.len.saturating_sub(1)));
        }
    }

    /// Returns the list as one header value. The value of an empty list is empty.
    pub(crate) fn to_header(&self) -> String {
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

    /// Appends a member without checking for duplicate keys. Returns `None` if the list is full.
    pub(crate) fn push(&mut self, member: Member<'a>) -> Option<()> {
        *self.array.get_mut(self.len)? = member;
        self.len += 1;
        Some(())
    }

    /// Reverses the order of the members.
    pub(crate) fn reverse(&mut self) {
        self.array.get_mut(..self.len).unwrap_or_default().reverse();
    }

    fn remove(&mut self, at: usize) {
        if let Some(tail) = self.array.get_mut(at..self.len) {
            tail.rotate_left(1);
            self.len -= 1;
        }
    }

    /// Returns the length of the header value.
    pub(crate) fn chars(&self) -> usize {
        let members: usize = self.members().iter().map(Member::chars).sum();
        members + self.len.saturating_sub(1)
    }
}

impl Default for List<'_> {
    fn default() -> Self {
        Self {
            array: [EMPTY_MEMBER; MAX_MEMBERS],
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

    /// Returns the header that a receiver of `lines` sends if it forwards the complete list.
    fn forwarded(lines: &[&str]) -> Option<String> {
        parse(lines.iter().map(|line| line.as_bytes())).map(|list| list.to_header())
    }

    fn accepts(lines: &[&str], expected: &str) {
        assert_eq!(forwarded(lines).as_deref(), Some(expected), "{lines:?}");
    }

    fn discards(line: &str) {
        assert_eq!(forwarded(&[line]), None, "{line:?}");
    }

    fn numbered(members: usize) -> String {
        let members: Vec<_> = (1..=members).map(|n| format!("k{n}={n}")).collect();
        members.join(",")
    }

    #[test]
    fn parse_keeps_the_order_of_members() {
        accepts(&["foo=1,bar=2,baz=3"], "foo=1,bar=2,baz=3");
    }

    #[test]
    fn parse_joins_several_lines_in_order() {
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
    fn a_list_of_32_members_is_valid_and_one_of_33_is_discarded() {
        accepts(&[&numbered(32)], &numbered(32));
        accepts(&[&numbered(31), "k32=32"], &numbered(32));
        discards(&numbered(33));
        assert_eq!(forwarded(&[&numbered(32), "k33=33"]), None);
    }

    #[test]
    fn keys_of_level_2_may_have_several_at_signs() {
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
    fn an_invalid_key_discards_the_list() {
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
    fn spaces_after_a_value_are_ignored() {
        accepts(&["foo=  1  ,bar=2 "], "foo=  1,bar=2");
        assert_eq!(Member::new("foo", "1 "), None);
    }

    #[test]
    fn an_invalid_value_discards_the_list() {
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
    fn invalid_utf8_discards_the_list() {
        assert!(parse([&b"foo=1"[..], b"bar=\xff"]).is_none());
    }

    #[test]
    fn duplicate_keys_are_kept() {
        accepts(&["foo=1,bar=2,foo=3"], "foo=1,bar=2,foo=3");
        accepts(&["foo=1", "foo=1"], "foo=1,foo=1");
    }

    #[test]
    fn push_front_replaces_members_with_the_same_key() {
        let mut list = parse([&b"foo=1,own=2,bar=3,own=4"[..]]).unwrap();
        list.push_front(Member::new("own", "5").unwrap());
        assert_eq!(list.to_header(), "own=5,foo=1,bar=3");
        list.push_front(Member::new("new", "6").unwrap());
        assert_eq!(list.to_header(), "new=6,own=5,foo=1,bar=3");
    }

    #[test]
    fn push_front_to_a_full_list_removes_the_last_member() {
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
    fn shorten_keeps_a_list_of_exactly_the_limit() {
        let line = format!("a={},b={},c={}", "x".repeat(254), "y".repeat(249), "z");
        assert_eq!(line.len(), MAX_CHARS);
        let mut list = parse([line.as_bytes()]).unwrap();
        list.shorten(MAX_CHARS);
        assert_eq!(list.to_header(), line);
    }

    #[test]
    fn shorten_removes_long_members_from_the_right_then_any_from_the_right() {
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
        fn parse_accepts_any_bytes_without_panicking(lines: Vec<Vec<u8>>) {
            let _ = parse(lines.iter().map(Vec::as_slice));
        }

        #[test]
        fn a_valid_list_is_written_unchanged(line in line()) {
            prop_assert_eq!(forwarded(&[&line]), Some(line));
        }

        #[test]
        fn a_shortened_list_is_within_the_limit_and_valid(line in line(), max in 0usize..2000) {
            let mut list = parse([line.as_bytes()]).unwrap();
            list.shorten(max);
            let header = list.to_header();
            prop_assert!(header.len() <= max);
            prop_assert_eq!(header.capacity(), header.len());
            prop_assert_eq!(forwarded(&[&header]), Some(header));
        }

        #[test]
        fn push_front_puts_the_only_member_of_its_key_first(line in line(), key in "[a-z]") {
            let mut list = parse([line.as_bytes()]).unwrap();
            let own = Member::new(&key, "own").unwrap();
            list.push_front(own);
            prop_assert_eq!(list.members().first(), Some(&own));
            prop_assert_eq!(list.members().iter().filter(|m| m.key() == key).count(), 1);
        }
    }
}
