//! The `baggage` header: a list of `key=value;property;..` members with application-defined
//! properties of the request
//! ([specification](https://www.w3.org/TR/baggage/#baggage-http-header-format)).

use std::{borrow::Cow, fmt::Write};

/// The maximum number of members that are read and written. The specification requires at least
/// this many ([specification](https://www.w3.org/TR/baggage/#limits)).
pub(crate) const MAX_MEMBERS: usize = 64;

/// The maximum length in bytes of all members that are read and written, commas included. The
/// specification requires at least this many
/// ([specification](https://www.w3.org/TR/baggage/#limits)).
pub(crate) const MAX_BYTES: usize = 8192;

/// One valid member of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    key: &'a str,
    value: Cow<'a, str>,
    properties: &'a str,
}

impl<'a> Member<'a> {
    /// Creates a member. The value may be any text; properties are separated by `;`.
    ///
    /// Returns `None` if the key is not a
    /// [token](https://www.rfc-editor.org/rfc/rfc7230#section-3.2.6) or a property is malformed
    /// ([specification](https://www.w3.org/TR/baggage/#header-content)).
    pub(crate) fn new(
        key: &'a str,
        value: impl Into<Cow<'a, str>>,
        properties: &'a str,
    ) -> Option<Self> {
        let properties = trim(properties);
        let valid = is_token(key)
            && (properties.is_empty() || properties.split(';').all(|one| is_property(trim(one))));
        valid.then(|| Self {
            key,
            value: value.into(),
            properties,
        })
    }

    /// Parses one member of a header value.
    fn parse(member: &'a str) -> Option<Self> {
        let (pair, properties) = match member.split_once(';') {
            Some((pair, properties)) => (pair, properties),
            None => (member, ""),
        };
        let (key, value) = pair.split_once('=')?;
        let value = trim(value);
        if !is_value(value) {
            return None;
        }
        Self::new(trim(key), decode(value), properties)
    }

    /// Returns the key. Keys are case-sensitive.
    pub(crate) fn key(&self) -> &'a str {
        self.key
    }

    /// Returns the decoded value. Bytes that are not UTF-8 are replaced with U+FFFD.
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// Returns everything after the first `;`, undecoded.
    pub(crate) fn properties(&self) -> &'a str {
        self.properties
    }
}

/// Parses all lines of the header as one list and returns its members in order, up to
/// [`MAX_MEMBERS`] and [`MAX_BYTES`]. Malformed members and members beyond the limits are skipped.
pub(crate) fn parse<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Member<'a>> {
    let mut size = ListSize::default();
    lines
        .into_iter()
        .flat_map(|line| line.split(|byte| *byte == b','))
        .filter_map(move |member| {
            let member = trim(std::str::from_utf8(member).ok()?);
            if !size.allows(member.len()) {
                return None;
            }
            let parsed = Member::parse(member)?;
            size.add(member.len());
            Some(parsed)
        })
}

/// Builds one header value within the limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderBuilder {
    header: String,
    size: ListSize,
}

impl HeaderBuilder {
    /// Appends a member. Returns `false` and appends nothing if it exceeds a limit.
    pub(crate) fn push(&mut self, member: &Member<'_>) -> bool {
        let before = self.header.len();
        if before > 0 {
            self.header.push(',');
        }
        let start = self.header.len();
        self.header.push_str(member.key);
        self.header.push('=');
        encode(&member.value, &mut self.header);
        if !member.properties.is_empty() {
            self.header.push(';');
            self.header.push_str(member.properties);
        }
        let bytes = self.header.len().saturating_sub(start);
        let fits = self.size.allows(bytes);
        if fits {
            self.size.add(bytes);
        } else {
            self.header.truncate(before);
        }
        fits
    }

    /// Returns the header value, or `None` if it has no member.
    pub(crate) fn into_header(self) -> Option<String> {
        Some(self.header).filter(|header| !header.is_empty())
    }
}

/// The number of members and bytes of a list, compared with the limits.
#[derive(Clone, Copy, Debug, Default)]
struct ListSize {
    members: usize,
    bytes: usize,
}

impl ListSize {
    fn plus(self, bytes: usize) -> Self {
        let comma = usize::from(self.members > 0);
        Self {
            members: self.members.saturating_add(1),
            bytes: self.bytes.saturating_add(comma).saturating_add(bytes),
        }
    }

    fn allows(self, bytes: usize) -> bool {
        let Self { members, bytes } = self.plus(bytes);
        members <= MAX_MEMBERS && bytes <= MAX_BYTES
    }

    fn add(&mut self, bytes: usize) {
        *self = self.plus(bytes);
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

fn is_property(property: &str) -> bool {
    match property.split_once('=') {
        None => is_token(property),
        Some((key, value)) => is_token(trim(key)) && is_value(trim(value)),
    }
}

fn is_value(text: &str) -> bool {
    text.bytes().all(is_octet)
}

/// Returns whether a byte is a `baggage-octet` of the specification.
fn is_octet(b: u8) -> bool {
    b.is_ascii_graphic() && !b"\",;\\".contains(&b)
}

/// Decodes percent-encoding.
fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut remaining = value.as_bytes();
    while let Some((&first, after)) = remaining.split_first() {
        match after.split_first_chunk().filter(|_| first == b'%') {
            Some((&[high, low], after)) if hex(high, low).is_some() => {
                bytes.extend(hex(high, low));
                remaining = after;
            }
            // A percent sign without two digits after it is not decoded.
            _ => {
                bytes.push(first);
                remaining = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses two hexadecimal digits of either case.
fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Appends a value in percent-encoding.
fn encode(value: &str, to: &mut String) {
    for byte in value.bytes() {
        if is_octet(byte) && byte != b'%' {
            to.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(header: &str) -> Option<Member<'_>> {
        let mut members = parse([header.as_bytes()]);
        let first = members.next();
        assert_eq!(members.next(), None);
        first
    }

    fn keys(lines: &[&str]) -> Vec<String> {
        let members = parse(lines.iter().map(|line| line.as_bytes()));
        members.map(|member| member.key().to_owned()).collect()
    }

    fn written<'a>(members: impl IntoIterator<Item = Member<'a>>) -> Option<String> {
        let mut list = HeaderBuilder::default();
        for member in members {
            list.push(&member);
        }
        list.into_header()
    }

    #[test]
    fn parse_joins_several_lines_in_order() {
        assert_eq!(
            keys(&["b=1, a=2", "", "c=3,,", "b=4"]),
            ["b", "a", "c", "b"]
        );
    }

    #[test]
    fn spaces_and_tabs_around_every_part_are_ignored() {
        let member = one(" \tkey \t=\t value ; p = 1\t; q ").unwrap();
        assert_eq!((member.key(), member.value()), ("key", "value"));
        assert_eq!(member.properties(), "p = 1\t; q");
    }

    #[test]
    fn a_member_without_an_equals_sign_or_with_a_malformed_property_is_skipped() {
        for malformed in [
            "key",
            "=",
            "=v",
            "k=v;;p",
            "k=v;p q",
            "k=v;=x",
            "k=v;p=\"x\"",
        ] {
            assert_eq!(one(malformed), None, "{malformed}");
        }
        for valid in ["k=v;", "k=v;p", "k=v;p=", "k=v;p=1;q", "k=v;p=a=b"] {
            assert!(one(valid).is_some(), "{valid}");
        }
    }

    #[test]
    fn a_key_is_a_case_sensitive_token_and_not_decoded() {
        assert_eq!(keys(&["Key=1,key=1"]), ["Key", "key"]);
        assert_eq!(one("a%20b=1").unwrap().key(), "a%20b");
        for malformed in ["a b=1", "a(=1", "ä=1", "a/b=1", "a\"=1"] {
            assert_eq!(one(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_value_may_be_empty_or_contain_equals_signs() {
        assert_eq!(one("k=").unwrap().value(), "");
        assert_eq!(one("k=a=b==").unwrap().value(), "a=b==");
    }

    #[test]
    fn a_value_contains_only_the_bytes_of_the_specification() {
        for byte in 0..=u8::MAX {
            let header = [b'k', b'=', b'a', byte, b'b'];
            let allowed =
                matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E);
            let whole = parse([&header[..]]).any(|member| member.value().len() == 3);
            assert_eq!(whole, allowed, "{byte:#x}");
        }
    }

    #[test]
    fn a_value_of_any_text_is_percent_encoded() {
        let member = Member::new("k", "ä \"100%\"\\,;\r\n", "").unwrap();
        assert_eq!(
            written([member]).unwrap(),
            "k=%C3%A4%20%22100%25%22%5C%2C%3B%0D%0A"
        );
    }

    #[test]
    fn decode_replaces_invalid_utf8() {
        assert_eq!(one("k=a%FFb").unwrap().value(), "a\u{FFFD}b");
        assert_eq!(one("k=%c3%A4").unwrap().value(), "ä");
    }

    #[test]
    fn decode_keeps_percent_signs_without_two_digits_after_them() {
        for (header, value) in [
            ("k=%", "%"),
            ("k=%4", "%4"),
            ("k=%zz", "%zz"),
            ("k=%%41", "%A"),
        ] {
            assert_eq!(one(header).unwrap().value(), value, "{header}");
        }
    }

    #[test]
    fn the_limits_are_64_members_and_8192_bytes() {
        let numbered = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!("k{n:02}=")).collect();
            members.join(",")
        };
        assert_eq!(keys(&[&numbered(64)]).len(), 64);
        assert_eq!(keys(&[&numbered(65)]).len(), 64);

        let full = format!("k={}", "v".repeat(MAX_BYTES - 2));
        assert_eq!(one(&full).unwrap().value().len(), MAX_BYTES - 2);
        assert_eq!(one(&format!("{full}v")), None);
        // Commas count, and a small member may still fit after a large one did not.
        let (half, other) = ("v".repeat(4000), "v".repeat(4188));
        assert_eq!(
            keys(&[&format!("a={half},b={other},c={other},d=")]),
            ["a", "d"]
        );
        assert_eq!(keys(&[&format!("a={half},b={}", &other[1..])]), ["a", "b"]);
    }

    #[test]
    fn members_beyond_the_limits_are_not_written() {
        let large = "ä".repeat(3000);
        let members = [("a", "1"), ("b", large.as_str()), ("c", "2")];
        let members = members.map(|(key, value)| Member::new(key, value, "").unwrap());
        assert_eq!(written(members).unwrap(), "a=1,c=2");

        let keys: Vec<_> = (0..70).map(|n| format!("k{n}")).collect();
        let members = keys.iter().map(|key| Member::new(key, "", "").unwrap());
        let header = written(members).unwrap();
        assert_eq!(header.split(',').count(), MAX_MEMBERS);
        assert!(header.ends_with(",k63="));
    }

    #[test]
    fn duplicate_keys_keep_their_order() {
        let members = parse([&b"k=1,k=2,k=1"[..]]);
        assert_eq!(written(members).unwrap(), "k=1,k=2,k=1");
    }

    #[test]
    fn malformed_members_are_skipped_alone() {
        assert_eq!(keys(&["a=1,b,c=\"x\",d=2"]), ["a", "d"]);
        let line = b"a=1,b=\xff,c=3";
        assert_eq!(parse([&line[..]]).count(), 2);
    }

    #[test]
    fn a_list_without_members_has_no_header() {
        assert_eq!(written([]), None);
    }

    proptest! {
        #[test]
        fn parse_accepts_any_bytes_and_reads_back_what_was_written(
            lines in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..200), 0..4),
        ) {
            let members: Vec<_> = parse(lines.iter().map(Vec::as_slice)).collect();
            let header = written(members.iter().cloned()).unwrap_or_default();
            prop_assert!(header.len() <= MAX_BYTES);
            let again: Vec<_> = parse([header.as_bytes()]).collect();
            prop_assert_eq!(again, members);
        }

        #[test]
        fn any_valid_list_is_read_back_unchanged(
            members in proptest::collection::vec(("[!#-'*+.^-z|~-]{1,8}", ".{0,20}", "(|[a-z]{1,3}(=[!-+]{0,3})?)"), 0..20),
        ) {
            let valid = members.iter().filter_map(|(key, value, properties)| {
                Member::new(key, value.as_str(), properties)
            });
            let valid: Vec<_> = valid.collect();
            let header = written(valid.iter().cloned()).unwrap_or_default();
            let again: Vec<_> = parse([header.as_bytes()]).collect();
            prop_assert_eq!(again, valid);
        }
    }
}
