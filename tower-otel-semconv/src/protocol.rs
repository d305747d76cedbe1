//! The protocol version of HTTP and its transport.
//!
//! See [network attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/),
//! `network.protocol.version` and `network.transport`.

use http::Version;

/// Returns `network.protocol.version`: `0.9`, `1.0`, `1.1`, `2` or `3`. Returns `None` for other versions.
///
/// ```
/// use tower_otel_semconv::protocol_version;
///
/// assert_eq!(protocol_version(http::Version::HTTP_2), Some("2"));
/// ```
#[must_use]
pub fn protocol_version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

/// Returns `network.transport` of a connection between two IP addresses: `udp` for HTTP/3, `tcp` for older versions.
///
/// ```
/// use tower_otel_semconv::transport;
///
/// assert_eq!(transport(http::Version::HTTP_2), Some("tcp"));
/// ```
#[must_use]
pub fn transport(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 | Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => "tcp",
        Version::HTTP_3 => "udp",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_2_on_have_no_minor_number() {
        for (http, text) in [
            (Version::HTTP_09, "0.9"),
            (Version::HTTP_10, "1.0"),
            (Version::HTTP_11, "1.1"),
            (Version::HTTP_2, "2"),
            (Version::HTTP_3, "3"),
        ] {
            assert_eq!(protocol_version(http), Some(text));
        }
    }

    #[test]
    fn http_3_uses_udp() {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(transport(version), Some("tcp"));
        }
        assert_eq!(transport(Version::HTTP_3), Some("udp"));
    }
}
