//! The URL schemes of HTTP and their default ports.
//!
//! See [URL attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/), `url.scheme`.

/// Returns `http`, `https`, `ws` or `wss` in lower case. Returns `None` for any other scheme.
///
/// `url.scheme` is a label of server metrics, and the client controls both forwarded headers and the `:scheme` of
/// HTTP/2. The fixed list bounds the number of series.
#[doc(hidden)]
#[must_use]
pub fn known_scheme(scheme: &str) -> Option<&'static str> {
    ["https", "http", "wss", "ws"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))
}

/// Returns the default port of a scheme: 80 for `http` and `ws`, 443 for `https` and `wss`, `None` otherwise.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match known_scheme(scheme)? {
        "http" | "ws" => Some(80),
        _ => Some(443),
    }
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_outside_the_list_is_unknown() {
        for (scheme, expected) in [
            ("http", Some("http")),
            ("HTTPS", Some("https")),
            ("Ws", Some("ws")),
            ("wss", Some("wss")),
            ("", None),
            ("ftp", None),
            ("https ", None),
            ("http, https", None),
        ] {
            assert_eq!(known_scheme(scheme), expected, "{scheme:?}");
        }
    }
}
