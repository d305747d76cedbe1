//! One element of the `Forwarded` header.
//!
//! See [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239).

use std::borrow::Cow;

use crate::endpoint::Endpoint;

/// The node that sent a request to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// An address.
    Address(Endpoint),
    /// `unknown`, an obfuscated identifier (`_gazonk`), or an invalid value.
    Unknown,
}

impl Node {
    /// Parses a node. A value that is not an address is [`Unknown`](Self::Unknown).
    pub(crate) fn parse(text: &str) -> Self {
        Endpoint::parse(text).map_or(Self::Unknown, Self::Address)
    }

    /// Returns the address of the node, if it is known.
    pub(crate) fn endpoint(self) -> Option<Endpoint> {
        match self {
            Self::Address(endpoint) => Some(endpoint),
            Self::Unknown => None,
        }
    }
}

/// One element of `Forwarded`, written by one proxy. The values are unquoted but not validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// `for`: the node that sent the request to the proxy.
    pub(crate) node: Option<Node>,
    /// `host`: the `Host` that the proxy received.
    pub(crate) host: Option<Cow<'a, str>>,
    /// `proto`: the scheme that the proxy received.
    pub(crate) proto: Option<Cow<'a, str>>,
}

impl<'a> Element<'a> {
    /// Parses an element: `name=value` pairs, separated by `;`.
    ///
    /// Names are case-insensitive; names other than `for`, `host` and `proto` are ignored. Two deviations from the
    /// grammar are accepted, because proxies write them: spaces and tabs around `;`, and `:`, `[` and `]` outside quotes. A
    /// repeated name and any other deviation invalidate the element.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut element = Self {
            node: None,
            host: None,
            proto: None,
        };
        let mut remaining = text;
        loop {
            remaining = remaining.trim_start_matches([' ', '\t', ';']);
            if remaining.is_empty() {
                return Some(element);
            }
            let (name, after) = remaining.split_once('=')?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) = take_value(after)?;
            remaining = after.trim_start_matches([' ', '\t']);
            if !remaining.is_empty() && !remaining.starts_with(';') {
                return None;
            }
            let repeated = if name.eq_ignore_ascii_case("for") {
                element.node.replace(Node::parse(&value)).is_some()
            } else if name.eq_ignore_ascii_case("host") {
                element.host.replace(value).is_some()
            } else if name.eq_ignore_ascii_case("proto") {
                element.proto.replace(value).is_some()
            } else {
                false
            };
            if repeated {
                return None;
            }
        }
    }
}

/// Splits a token or a quoted string from the start of a text. Returns its value and the remaining text.
fn take_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .bytes()
            .position(|b| !is_token(b) && !b":[]".contains(&b))
            .unwrap_or(text.len());
        return (end > 0)
            .then_some(text.split_at_checked(end)?)
            .map(|(value, remaining)| (value.into(), remaining));
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((unescape(quoted.get(..end)?), quoted.get(end + 1..)?))
}

/// Removes the backslashes of quoted pairs.
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
    use proptest::prelude::*;

    /// Writes an element as `node host proto`.
    fn text(element: &Element<'_>) -> String {
        let node = match element.node {
            Some(Node::Address(Endpoint { address, port })) => match port {
                Some(port) => format!("{address}/{port}"),
                None => address.to_string(),
            },
            Some(Node::Unknown) => "unknown".to_owned(),
            None => "-".to_owned(),
        };
        let host = element.host.as_deref().unwrap_or("-");
        let proto = element.proto.as_deref().unwrap_or("-");
        format!("{node} {host} {proto}")
    }

    #[test]
    fn every_form_of_an_element_is_parsed() {
        for case in [
            r#"for=192.0.2.1 => 192.0.2.1 - -"#,
            r#"FOR=192.0.2.1;Proto=https => 192.0.2.1 - https"#,
            r#"for="[2001:db8::1]:4711" => 2001:db8::1/4711 - -"#,
            r#"for=[2001:db8::1]:4711 => 2001:db8::1/4711 - -"#,
            r#"for="192.0.2.1:_port" => 192.0.2.1 - -"#,
            r#"host="a.example:8080";proto=https => - a.example:8080 https"#,
            r#"host=a.example:8080 ; proto="https" => - a.example:8080 https"#,
            r#"host="a\.example\:8080" => - a.example:8080 -"#,
            r#"by=10.0.0.1;secret=x;proto=https;; => - - https"#,
            r#";; => - - -"#,
        ] {
            let (element, expected) = case.split_once(" => ").unwrap();
            let element = Element::parse(element).unwrap();
            assert_eq!(text(&element), expected, "{case}");
        }
    }

    #[test]
    fn a_node_that_is_not_an_address_is_unknown() {
        for element in [
            "for=unknown",
            "for=UNKNOWN",
            "for=_hidden",
            "for=_SEVKISEK",
            r#"for="""#,
            "for=example.com",
        ] {
            let parsed = Element::parse(element).unwrap();
            assert_eq!(text(&parsed), "unknown - -", "{element}");
        }
    }

    #[test]
    fn an_invalid_element_is_none() {
        for element in [
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
            assert_eq!(Element::parse(element), None, "{element}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "(?s).*") {
            let _ = Element::parse(&text);
        }

        #[test]
        fn element_like_text_is_parsed_without_panic(text in "((for|host|x)?[=;,\"\\\\ \\[\\]:a1.é]{0,3}){0,8}") {
            let _ = Element::parse(&text);
        }

        #[test]
        fn a_quoted_value_is_unquoted(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("host=\"{quoted}\"");
            let element = Element::parse(&text);
            prop_assert_eq!(element.and_then(|element| element.host), Some(value.into()));
        }
    }
}
