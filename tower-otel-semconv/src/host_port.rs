//! A host with an optional port.
//!
//! See [server attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/) and
//! [RFC 9110, section 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2).

use std::net::Ipv6Addr;

use crate::known_scheme::default_port;

/// The maximum length of a host in bytes (RFC 3986, section 3.2.2).
const MAX_HOST: usize = 255;

/// The digits of 65535. Longer ports are invalid, even with leading zeros.
const MAX_PORT_DIGITS: usize = 5;

/// A host with an optional port, from a `Host` header, an `:authority` or a forwarded host.
///
/// Contains the values of `server.address` and `server.port`.
///
/// ```
/// use tower_otel_semconv::HostPort;
///
/// assert_eq!(HostPort::parse("api.example.com:8443"), Some(HostPort { host: "api.example.com", port: Some(8443) }));
/// assert_eq!(HostPort::parse("[::1]:5000"), Some(HostPort { host: "::1", port: Some(5000) }));
/// assert_eq!(HostPort::parse("api.example.com:http"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostPort<'a> {
    /// A name, an IPv4 address, or an IPv6 address without brackets. The letter case is unchanged.
    pub host: &'a str,
    /// The port, if there is one.
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Parses `host[:port]`. Returns `None` if any part is invalid.
    ///
    /// An invalid port (not a number from 1 to 65535) also invalidates the host. A colon without a port is accepted.
    /// These are invalid:
    ///
    /// - user information, which HTTP forbids here and which may contain a password
    /// - an IPv6 address without brackets, because its last group could be a port
    /// - IPv6 zone identifiers, which are local to the sender
    /// - a name with characters other than ASCII letters, digits, `-`, `.`, `_` and `~`, without a letter or digit, or of more
    ///   than 255 bytes
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, remaining) = text.split_at_checked(name_length(text.as_bytes())?)?;
        let port = match (host, remaining.as_bytes()) {
            ("", [b'[', ..]) => return Self::parse_ipv6(text.get(1..)?),
            ("", _) => return None,
            (_, []) => None,
            (_, [b':', port @ ..]) => parse_port(port)?,
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Parses the part after `[`.
    #[cold]
    fn parse_ipv6(text: &'a str) -> Option<Self> {
        let (host, remaining) = text.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        let port = match remaining.as_bytes() {
            [] => None,
            [b':', port @ ..] => parse_port(port)?,
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Sets the default port of the scheme if there is no port.
    pub(crate) fn or_default_port(self, scheme: Option<&str>) -> Self {
        Self {
            port: self.port.or_else(|| default_port(scheme?)),
            ..self
        }
    }
}

/// Parses a port from 1 to 65535. Returns `Some(None)` if there are no digits, and `None` if the port is invalid.
pub(crate) fn parse_port(digits: &[u8]) -> Option<Option<u16>> {
    if digits.len() > MAX_PORT_DIGITS {
        return None;
    }
    let mut port = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    match u16::try_from(port) {
        Ok(0) if digits.is_empty() => Some(None),
        Ok(0) | Err(_) => None,
        Ok(port) => Some(Some(port)),
    }
}

/// Returns the length of the name at the start of a text. It is 0 for a text that starts with another character. Returns
/// `None` for a name without a letter or digit, and for one that is too long.
#[inline]
fn name_length(text: &[u8]) -> Option<usize> {
    let mut classes = 0;
    let mut length = 0;
    for byte in text {
        let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(OTHER);
        if class == OTHER {
            break;
        }
        classes |= class;
        length += 1;
    }
    let is_name = classes & ALPHANUMERIC != 0 && length <= MAX_HOST;
    (is_name || length == 0 && !text.is_empty()).then_some(length)
}

const OTHER: u8 = 0;
const ALPHANUMERIC: u8 = 1;
const UNRESERVED_MARK: u8 = 2;

/// The class of each character of a name.
static CLASSES: [u8; 256] = classes();

// Evaluated by the compiler: an index out of bounds would be a compile error.
#[allow(clippy::indexing_slicing)]
const fn classes() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => ALPHANUMERIC,
            b'-' | b'.' | b'_' | b'~' => UNRESERVED_MARK,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_and_port_are_separated() {
        for case in [
            "example.com => example.com -",
            "example.com:80 => example.com 80",
            "example.com: => example.com -",
            "EXAMPLE.com. => EXAMPLE.com. -",
            "my_service:8080 => my_service 8080",
            "127.0.0.1:65535 => 127.0.0.1 65535",
            "localhost:00080 => localhost 80",
            "[::1] => ::1 -",
            "[::1]:5000 => ::1 5000",
            "[2001:db8::ffff:1.2.3.4]: => 2001:db8::ffff:1.2.3.4 -",
        ] {
            let (text, expected) = case.split_once(" => ").unwrap();
            let HostPort { host, port } = HostPort::parse(text).unwrap();
            let port = port.map_or("-".to_owned(), |port| port.to_string());
            assert_eq!(format!("{host} {port}"), expected, "{text}");
        }
    }

    #[test]
    fn an_invalid_host_or_port_is_none() {
        const INVALID: &str = "
            : :80 . - [] []:80 [::1 ::1 ::1:80 [::1]80 [::1%eth0]:80 [v1.a] [1.2.3.4] [example.com]
            a:b a:80:80 a:65536 a:0 a:-1 a:+1 a:99999999999999999999
            user@a user:pass@a:80 \u{e4}.example a/b a,b a?b a#b a%20b <script> \"a\"";
        let with_blanks = [
            "",
            "[::1] :80",
            "a: 80",
            "a b",
            " a",
            "a ",
            "a\t",
            "a\r\nb",
            "a\0",
        ];
        for text in INVALID.split_whitespace().chain(with_blanks) {
            assert_eq!(HostPort::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_has_at_most_255_bytes() {
        assert!(HostPort::parse(&"a".repeat(255)).is_some());
        assert_eq!(HostPort::parse(&"a".repeat(256)), None);
    }

    #[test]
    fn the_default_port_does_not_replace_a_port() {
        let host = |port| HostPort { host: "a", port };
        for (port, scheme, expected) in [
            (None, Some("http"), Some(80)),
            (None, Some("https"), Some(443)),
            (None, Some("WSS"), Some(443)),
            (Some(81), Some("http"), Some(81)),
            (None, Some("ftp"), None),
            (None, None, None),
        ] {
            assert_eq!(
                host(port).or_default_port(scheme).port,
                expected,
                "{port:?} {scheme:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_parsed_host_has_only_host_characters(text in "(?s).*") {
            if let Some(HostPort { host, .. }) = HostPort::parse(&text) {
                prop_assert!(!host.is_empty());
                prop_assert!(host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:".contains(&b)));
            }
        }

        #[test]
        fn host_like_text_is_parsed_without_panic(text in "[\\[\\]:.@%a-f0-9 ]{0,24}") {
            let _ = HostPort::parse(&text);
        }
    }
}
