//! A host and its port, taken apart.
//!
//! See [server attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/) and
//! [RFC 9110, section 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2).

use std::net::Ipv6Addr;

/// The longest name a URI allows a host (RFC 3986, 3.2.2).
const MAX_HOST: usize = 255;

/// What a `Host` header, an `:authority` or a forwarded host says: `server.address` and perhaps `server.port`.
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
    /// A name, an IPv4 address, or an IPv6 address without its brackets; in the case it was written in.
    pub host: &'a str,
    /// The port, if one was written.
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Takes `host[:port]` apart, or refuses the whole of it.
    ///
    /// A header that is wrong in one half is not trusted in the other: a port that is no number from 1 to 65535
    /// loses the host too. Refused as well are user information, which HTTP forbids in these places and which may be
    /// a password; a bare IPv6 address, whose last group could be a port; zone identifiers, which mean something
    /// only on the sender's machine; and every character but the letters, digits, `-`, `.`, `_` and `~` of which
    /// names that resolve are made. A colon with nothing after it is no port.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (
                host,
                if rest.is_empty() {
                    None
                } else {
                    Some(rest.strip_prefix(':')?)
                },
            )
        } else {
            // Cheaper than `split_once`, for texts so short.
            let colon = text.bytes().position(|byte| byte == b':');
            let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
                Some((host, port)) => (host, port.get(1..)),
                None => (text, None),
            };
            (is_name(host).then_some(host)?, port)
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) => Some(parse_port(digits)?),
        };
        Some(Self { host, port })
    }

    /// The same of bytes, as headers hold them.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(text).ok()?)
    }

    /// The same, with the scheme's port where none was written.
    #[must_use]
    pub fn or_default_port(self, scheme: Option<&str>) -> Self {
        Self {
            port: self.port.or_else(|| default_port(scheme?)),
            ..self
        }
    }
}

/// The port a scheme implies: 80 for `http` and `ws`, 443 for `https` and `wss`, none for the rest.
#[must_use]
pub fn default_port(scheme: &str) -> Option<u16> {
    match super::server_scheme::known(scheme)? {
        "http" | "ws" => Some(80),
        _ => Some(443),
    }
}

/// A port as digits and nothing else; zero is no port anyone can be reached at.
pub(super) fn parse_port(digits: &str) -> Option<u16> {
    // `u16::from_str` would take a sign.
    let plain = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then_some(digits)?
        .parse()
        .ok()
        .filter(|&port| port != 0)
}

fn is_name(host: &str) -> bool {
    let mut named = false;
    for byte in host.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => named = true,
            b'-' | b'.' | b'_' | b'~' => {}
            _ => return false,
        }
    }
    named && host.len() <= MAX_HOST
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<(&str, Option<u16>)> {
        HostPort::parse(text).map(|h| (h.host, h.port))
    }

    #[test]
    fn a_host_is_split_from_its_port() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:80", "example.com", Some(80)),
            ("example.com:", "example.com", None),
            ("EXAMPLE.com.", "EXAMPLE.com.", None),
            ("my_service:8080", "my_service", Some(8080)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("localhost:00080", "localhost", Some(80)),
        ] {
            assert_eq!(parse(text), Some((host, port)), "{text}");
        }
    }

    #[test]
    fn ipv6_host_loses_its_brackets() {
        for (text, host, port) in [
            ("[::1]", "::1", None),
            ("[::1]:5000", "::1", Some(5000)),
            ("[2001:db8::ffff:1.2.3.4]:", "2001:db8::ffff:1.2.3.4", None),
        ] {
            assert_eq!(parse(text), Some((host, port)), "{text}");
        }
    }

    #[test]
    fn a_broken_host_is_absent() {
        for text in [
            "",
            ":",
            ":80",
            ".",
            "-",
            "[]",
            "[]:80",
            "[::1",
            "::1",
            "::1:80",
            "[::1]80",
            "[::1] :80",
            "[::1%eth0]:80",
            "[v1.a]",
            "[1.2.3.4]",
            "[example.com]",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:0",
            "a:-1",
            "a:+1",
            "a: 80",
            "a b",
            " a",
            "a ",
            "a\t",
            "a\r\nb",
            "a\0",
            "user@a",
            "user:pass@a:80",
            "ä.example",
            "a/b",
            "a,b",
            "a?b",
            "a#b",
            "a%20b",
            "<script>",
            "\"a\"",
            "a:99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_has_a_longest_length() {
        assert!(parse(&"a".repeat(255)).is_some());
        assert_eq!(parse(&"a".repeat(256)), None);
    }

    #[test]
    fn a_scheme_implies_its_port_only_where_none_was_written() {
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
        fn nothing_but_host_characters_comes_out(text in "(?s).*") {
            if let Some(HostPort { host, .. }) = HostPort::parse(&text) {
                prop_assert!(!host.is_empty());
                prop_assert!(host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:".contains(&b)));
            }
        }

        #[test]
        fn what_looks_like_a_host_does_not_panic(text in "[\\[\\]:.@%a-f0-9 ]{0,24}") {
            let _ = HostPort::parse(&text);
        }
    }
}
