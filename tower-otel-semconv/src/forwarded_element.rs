//! What proxies write about the request they pass on: `Forwarded`, and the older `X-Forwarded-*` lists.
//!
//! Only the reading is done here. Whether a word of it may be believed is asked in [`trust`](super::trusted_proxies).
//!
//! See [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239) and
//! [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), `server.address` and `client.address`.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::endpoint::Endpoint;
use super::header_list::Entries;

/// `X-Forwarded-For`: the address each proxy was asked from.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`: the `Host` each proxy was asked with.
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`: the scheme each proxy was asked with.
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who asked a proxy, as the proxy tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// An address.
    At(Endpoint),
    /// `unknown`, an identifier that hides the address (`_gazonk`), or something that cannot be read.
    Unknown,
}

impl Node {
    /// Reads one entry; never fails, because what is not an address is [`Unknown`](Self::Unknown).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Endpoint::parse(text).map_or(Self::Unknown, Self::At)
    }

    /// The address, where there is one.
    #[must_use]
    pub fn endpoint(self) -> Option<Endpoint> {
        match self {
            Self::At(endpoint) => Some(endpoint),
            Self::Unknown => None,
        }
    }
}

/// What one proxy wrote into `Forwarded`. A value may be anything a quoted string can hold; nothing is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// `for`: who asked.
    pub node: Option<Node>,
    /// `host`: which host was asked for.
    pub host: Option<Cow<'a, str>>,
    /// `proto`: with which scheme.
    pub proto: Option<Cow<'a, str>>,
}

impl<'a> Element<'a> {
    /// Reads one element: pairs of name and value with `;` between them.
    ///
    /// Names are compared without regard to case, unknown ones (`by` too) are passed over. Beyond the grammar,
    /// blanks around `;` are allowed, and `:`, `[` and `]` outside quotes, since many proxies forget those. A name
    /// given twice, or anything else the grammar does not allow, refuses the element.
    ///
    /// ```
    /// use tower_otel_semconv::forwarded_element::{Element, Node};
    ///
    /// let element = Element::parse(r#"For="[2001:db8::1]:4711";proto=https"#);
    /// assert_eq!(element.as_ref().and_then(|e| e.node), Some(Node::parse("[2001:db8::1]:4711")));
    /// assert_eq!(element.and_then(|e| e.proto).as_deref(), Some("https"));
    /// ```
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut element = Self {
            node: None,
            host: None,
            proto: None,
        };
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Some(element);
            }
            let (name, after) = rest.split_once('=')?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) = take_value(after)?;
            rest = after.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with(';') {
                return None;
            }
            let twice = if name.eq_ignore_ascii_case("for") {
                element.node.replace(Node::parse(&value)).is_some()
            } else if name.eq_ignore_ascii_case("host") {
                element.host.replace(value).is_some()
            } else if name.eq_ignore_ascii_case("proto") {
                element.proto.replace(value).is_some()
            } else {
                false
            };
            if twice {
                return None;
            }
        }
    }
}

/// All elements of all `Forwarded` lines, nearest proxy first; `None` for one that cannot be read.
///
/// At most 32 elements of at most 512 bytes; what lies beyond ends the walk with a last `None`.
pub fn elements(headers: &HeaderMap) -> impl Iterator<Item = Option<Element<'_>>> {
    Entries::quoted(headers, &FORWARDED).map(|entry| Element::parse(entry?))
}

/// All entries of all `X-Forwarded-For` lines, nearest proxy first, with the limits of [`elements`].
pub fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Node> {
    x_forwarded(headers, &X_FORWARDED_FOR).map(|entry| entry.map_or(Node::Unknown, Node::parse))
}

/// All entries of another such list, nearest proxy first, with the limits of [`elements`].
pub fn x_forwarded<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
    Entries::plain(headers, name)
}

/// Takes a token or a quoted string off the front.
fn take_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .bytes()
            .position(|b| !is_token(b) && !b":[]".contains(&b))
            .unwrap_or(text.len());
        return (end > 0)
            .then_some(text.split_at_checked(end)?)
            .map(|(value, rest)| (value.into(), rest));
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((unescape(quoted.get(..end)?), quoted.get(end + 1..)?))
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut chars = text.chars();
    std::iter::from_fn(|| {
        chars
            .next()
            .and_then(|c| if c == '\\' { chars.next() } else { Some(c) })
    })
    .collect()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(Option<Node>, Option<String>, Option<String>)> {
        Element::parse(text).map(|e| {
            (
                e.node,
                e.host.map(Cow::into_owned),
                e.proto.map(Cow::into_owned),
            )
        })
    }

    fn at(text: &str) -> Option<Node> {
        Some(Node::At(Endpoint::parse(text).unwrap()))
    }

    #[test]
    fn an_element_is_read_whatever_its_spelling() {
        let https = || Some("https".to_owned());
        let host = || Some("a.example:8080".to_owned());
        for (text, expected) in [
            ("for=192.0.2.1", (at("192.0.2.1"), None, None)),
            (
                "FOR=192.0.2.1;Proto=https",
                (at("192.0.2.1"), None, https()),
            ),
            (
                r#"for="[2001:db8::1]:4711""#,
                (at("[2001:db8::1]:4711"), None, None),
            ),
            (
                "for=[2001:db8::1]:4711",
                (at("[2001:db8::1]:4711"), None, None),
            ),
            (r#"for="192.0.2.1:_port""#, (at("192.0.2.1"), None, None)),
            (
                r#"host="a.example:8080";proto=https"#,
                (None, host(), https()),
            ),
            (
                r#"host=a.example:8080 ; proto="https""#,
                (None, host(), https()),
            ),
            (r#"host="a\.example\:8080""#, (None, host(), None)),
            ("by=10.0.0.1;secret=x;proto=https;;", (None, None, https())),
            (";;", (None, None, None)),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_hidden_node_is_unknown() {
        for text in [
            "for=unknown",
            "for=UNKNOWN",
            "for=_hidden",
            "for=_SEVKISEK",
            r#"for="""#,
            "for=example.com",
        ] {
            assert_eq!(
                read(text),
                Some((Some(Node::Unknown), None, None)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_element_against_the_grammar_is_refused() {
        for text in [
            "for",
            "for=",
            "=x",
            "for =x",
            "for= x",
            "for=x y",
            "for=\"x",
            "for=\"x\"y",
            "for=\"x\\\"",
            "for=x;for=y",
            "proto=http;PROTO=https",
            "for=x/y",
            "f\u{e9}=x",
            "for=x\"y\"",
            "192.0.2.1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn lists_are_read_from_the_nearest_proxy() {
        let mut headers = HeaderMap::new();
        headers.append(
            FORWARDED,
            HeaderValue::from_static("for=192.0.2.1, for=unknown"),
        );
        headers.append(FORWARDED, HeaderValue::from_static("proto"));
        headers.append(
            &X_FORWARDED_FOR,
            HeaderValue::from_static("192.0.2.1:80,,nonsense"),
        );
        let nodes: Vec<_> = elements(&headers).map(|e| e.and_then(|e| e.node)).collect();
        assert_eq!(nodes, [None, Some(Node::Unknown), at("192.0.2.1")]);
        let nodes: Vec<_> = x_forwarded_for(&headers).collect();
        assert_eq!(nodes, [Node::Unknown, at("192.0.2.1:80").unwrap()]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).*") {
            let _ = Element::parse(&text);
        }

        #[test]
        fn what_looks_like_an_element_does_not_panic(text in "((for|host|x)?[=;,\"\\\\ \\[\\]:a1.é]{0,3}){0,8}") {
            let _ = Element::parse(&text);
        }

        #[test]
        fn any_value_can_be_quoted(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("host=\"{quoted}\"");
            prop_assert_eq!(read(&text), Some((None, Some(value), None)));
        }
    }
}
