//! How the spoken version of HTTP is written, and what it travels on.
//!
//! See [network attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/),
//! `network.protocol.version` and `network.transport`.

use http::Version;

/// The version as the conventions write it: `1.1`, and `2` rather than `2.0`. `None` for a version without a name.
///
/// ```
/// use tower_otel_semconv::protocol;
///
/// assert_eq!(protocol::version(http::Version::HTTP_2), Some("2"));
/// ```
#[must_use]
pub fn version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

/// What this version travels on between two IP addresses: `udp` for HTTP/3, `tcp` for those before it.
///
/// ```
/// use tower_otel_semconv::protocol;
///
/// assert_eq!(protocol::transport(http::Version::HTTP_2), Some("tcp"));
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
    fn major_versions_have_no_minor_from_two_on() {
        let written = [
            Version::HTTP_09,
            Version::HTTP_10,
            Version::HTTP_11,
            Version::HTTP_2,
            Version::HTTP_3,
        ]
        .map(version);
        assert_eq!(
            written,
            [Some("0.9"), Some("1.0"), Some("1.1"), Some("2"), Some("3")]
        );
    }

    #[test]
    fn only_the_third_version_is_not_on_tcp() {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(transport(version), Some("tcp"));
        }
        assert_eq!(transport(Version::HTTP_3), Some("udp"));
    }
}
