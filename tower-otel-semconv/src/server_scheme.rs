//! The scheme of a request on a server.
//!
//! See [HTTP server spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span), `url.scheme`.

use crate::forwarded::Forwarded;
use crate::known_scheme::known_scheme;
use crate::target::Target;

/// Returns `url.scheme` for a server span. The conventions require this attribute.
///
/// The first known scheme of these is used:
///
/// 1. the scheme that a trusted proxy forwarded
/// 2. `connection`, the scheme configured for the server's own connections, such as `"https"` if it terminates TLS
/// 3. the scheme of the request target, as in HTTP/2
/// 4. `http`, because the target of an HTTP/1.1 request is usually only a path
///
/// ```
/// use tower_otel_semconv::{Forwarded, Target, server_scheme};
///
/// let uri = http::Uri::from_static("/users");
/// let target = Target::of(&uri);
/// let forwarded = Forwarded::default();
/// assert_eq!(server_scheme(&forwarded, None, &target), "http");
/// assert_eq!(server_scheme(&forwarded, Some("https"), &target), "https");
/// ```
#[must_use]
pub fn server_scheme(
    forwarded: &Forwarded<'_>,
    connection: Option<&str>,
    target: &Target<'_>,
) -> &'static str {
    forwarded
        .proto
        .or_else(|| known_scheme(connection?))
        .or_else(|| known_scheme(target.scheme?))
        .unwrap_or("http")
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use http::Uri;

    #[test]
    fn the_forwarded_scheme_precedes_the_connection_and_the_target() {
        let path = Uri::from_static("/a");
        let https = Uri::from_static("https://a/b");
        for (proto, connection, uri, expected) in [
            (Some("https"), Some("http"), &path, "https"),
            (None, Some("https"), &path, "https"),
            (None, Some("http"), &https, "http"),
            (None, None, &https, "https"),
            (None, Some("unix"), &https, "https"),
            (None, None, &path, "http"),
        ] {
            let forwarded = Forwarded {
                proto,
                ..Forwarded::default()
            };
            let scheme = server_scheme(&forwarded, connection, &Target::of(uri));
            assert_eq!(scheme, expected, "{proto:?} {connection:?} {uri}");
        }
    }
}
