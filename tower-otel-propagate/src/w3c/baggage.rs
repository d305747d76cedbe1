//! `baggage`: a list of `key=value;property;..` members that say something about a request to every
//! service on its way.
//!
//! ```
//! use tower_otel_propagate::w3c::baggage;
//!
//! let lines = ["tenant=7;ttl=3", "name=Am%C3%A9lie"];
//! let members: Vec<_> = baggage::parse(lines.map(str::as_bytes)).collect();
//! assert_eq!((members[0].key(), members[0].properties()), ("tenant", "ttl=3"));
//! assert_eq!(members[1].value(), "Amélie");
//!
//! let mut list = baggage::Writer::default();
//! assert!(members.iter().all(|member| list.push(member)));
//! assert_eq!(list.into_header().as_deref(), Some("tenant=7;ttl=3,name=Am%C3%A9lie"));
//! ```

use std::{borrow::Cow, fmt::Write};

/// The members a list can have here
/// ([specification](https://www.w3.org/TR/baggage/#limits): no fewer).
pub const MAX_MEMBERS: usize = 64;

/// The bytes of all members, with the commas between them
/// ([specification](https://www.w3.org/TR/baggage/#limits): no fewer).
pub const MAX_BYTES: usize = 8192;

/// One valid member of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    key: &'a str,
    value: Cow<'a, str>,
    properties: &'a str,
}

impl<'a> Member<'a> {
    /// A member of this key and value, which may be any text. `None` if the key is no
    /// [token](https://www.rfc-editor.org/rfc/rfc7230#section-3.2.6), or what is to be the
    /// properties are none, separated by `;`
    /// ([specification](https://www.w3.org/TR/baggage/#header-content)).
    pub fn new(key: &'a str, value: impl Into<Cow<'a, str>>, properties: &'a str) -> Option<Self> {
        let properties = trim(properties);
        let valid = is_token(key)
            && (properties.is_empty() || properties.split(';').all(|one| is_property(trim(one))));
        valid.then(|| Self {
            key,
            value: value.into(),
            properties,
        })
    }

    /// One member as it stands in a header.
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

    /// The name of the member; capital letters are others than small ones.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// The value, decoded. Bytes that were no UTF-8 are U+FFFD.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Everything after the first `;`, as it was received.
    pub fn properties(&self) -> &'a str {
        self.properties
    }
}

/// Reads all lines of the header as one list, in its order, up to [`MAX_MEMBERS`] and
/// [`MAX_BYTES`]. What is beyond, or malformed, is left out as a whole.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> impl Iterator<Item = Member<'a>> {
    let mut room = Room::default();
    lines
        .into_iter()
        .flat_map(|line| line.split(|byte| *byte == b','))
        .filter_map(move |member| {
            let member = trim(std::str::from_utf8(member).ok()?);
            if !room.has(member.len()) {
                return None;
            }
            let parsed = Member::parse(member)?;
            room.take(member.len());
            Some(parsed)
        })
}

/// Writes members as one header value within the limits.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    header: String,
    room: Room,
}

impl Writer {
    /// Adds a member at the end. A member that is too much is left out, and the answer is `false`.
    pub fn push(&mut self, member: &Member<'_>) -> bool {
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
        let fits = self.room.has(bytes);
        if fits {
            self.room.take(bytes);
        } else {
            self.header.truncate(before);
        }
        fits
    }

    /// The header value, if it has a member.
    pub fn into_header(self) -> Option<String> {
        Some(self.header).filter(|header| !header.is_empty())
    }
}

/// What a list has taken of what it may.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    members: usize,
    bytes: usize,
}

impl Room {
    fn with(self, bytes: usize) -> Self {
        let comma = usize::from(self.members > 0);
        Self {
            members: self.members.saturating_add(1),
            bytes: self.bytes.saturating_add(comma).saturating_add(bytes),
        }
    }

    fn has(self, bytes: usize) -> bool {
        let Self { members, bytes } = self.with(bytes);
        members <= MAX_MEMBERS && bytes <= MAX_BYTES
    }

    fn take(&mut self, bytes: usize) {
        *self = self.with(bytes);
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

/// `baggage-octet` of the specification, `%` included.
fn is_octet(b: u8) -> bool {
    b.is_ascii_graphic() && !b"\",;\\".contains(&b)
}

fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match after.split_first_chunk().filter(|_| first == b'%') {
            Some((&[high, low], after)) if hex(high, low).is_some() => {
                bytes.extend(hex(high, low));
                rest = after;
            }
            // A percent sign that encodes nothing is one.
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

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
        let mut list = Writer::default();
        for member in members {
            list.push(&member);
        }
        list.into_header()
    }

    #[test]
    fn header_several_lines_are_one_list_in_order() {
        assert_eq!(
            keys(&["b=1, a=2", "", "c=3,,", "b=4"]),
            ["b", "a", "c", "b"]
        );
    }

    #[test]
    fn member_takes_spaces_around_everything() {
        let member = one(" \tkey \t=\t value ; p = 1\t; q ").unwrap();
        assert_eq!((member.key(), member.value()), ("key", "value"));
        assert_eq!(member.properties(), "p = 1\t; q");
    }

    #[test]
    fn member_needs_its_equals_sign_and_whole_properties() {
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
        for fine in ["k=v;", "k=v;p", "k=v;p=", "k=v;p=1;q", "k=v;p=a=b"] {
            assert!(one(fine).is_some(), "{fine}");
        }
    }

    #[test]
    fn key_is_a_token_in_its_own_case_and_not_decoded() {
        assert_eq!(keys(&["Key=1,key=1"]), ["Key", "key"]);
        assert_eq!(one("a%20b=1").unwrap().key(), "a%20b");
        for malformed in ["a b=1", "a(=1", "ä=1", "a/b=1", "a\"=1"] {
            assert_eq!(one(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn value_may_be_empty_and_hold_equals_signs() {
        assert_eq!(one("k=").unwrap().value(), "");
        assert_eq!(one("k=a=b==").unwrap().value(), "a=b==");
    }

    #[test]
    fn value_is_made_of_its_own_characters() {
        for byte in 0..=u8::MAX {
            let header = [b'k', b'=', b'a', byte, b'b'];
            let allowed =
                matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E);
            let whole = parse([&header[..]]).any(|member| member.value().len() == 3);
            assert_eq!(whole, allowed, "{byte:#x}");
        }
    }

    #[test]
    fn value_of_anything_is_encoded_percent_signs_too() {
        let member = Member::new("k", "ä \"100%\"\\,;\r\n", "").unwrap();
        assert_eq!(
            written([member]).unwrap(),
            "k=%C3%A4%20%22100%25%22%5C%2C%3B%0D%0A"
        );
    }

    #[test]
    fn decode_replaces_what_is_no_utf8() {
        assert_eq!(one("k=a%FFb").unwrap().value(), "a\u{FFFD}b");
        assert_eq!(one("k=%c3%A4").unwrap().value(), "ä");
    }

    #[test]
    fn decode_keeps_percent_signs_that_encode_nothing() {
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
    fn limits_are_64_members_and_8192_bytes() {
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
        let (half, rest) = ("v".repeat(4000), "v".repeat(4188));
        assert_eq!(
            keys(&[&format!("a={half},b={rest},c={rest},d=")]),
            ["a", "d"]
        );
        assert_eq!(keys(&[&format!("a={half},b={}", &rest[1..])]), ["a", "b"]);
    }

    #[test]
    fn limits_leave_out_whole_members_when_writing() {
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
    fn duplicates_keep_their_order() {
        let members = parse([&b"k=1,k=2,k=1"[..]]);
        assert_eq!(written(members).unwrap(), "k=1,k=2,k=1");
    }

    #[test]
    fn malformed_members_leave_the_others_alone() {
        assert_eq!(keys(&["a=1,b,c=\"x\",d=2"]), ["a", "d"]);
        let line = b"a=1,b=\xff,c=3";
        assert_eq!(parse([&line[..]]).count(), 2);
    }

    #[test]
    fn nothing_is_no_header() {
        assert_eq!(written([]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_what_is_written_is_read_again(
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
        fn any_list_survives(
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
