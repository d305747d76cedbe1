//! With which scheme the client asked.
//!
//! See [URL attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/) and
//! [HTTP server spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span), `url.scheme`.

use super::trusted_proxies::Forwarded;
use crate::Target;

/// A scheme HTTP travels under, in lower case: `http`, `https`, `ws`, `wss`. `None` for all others.
///
/// `url.scheme` labels server metrics, and both a forwarding header and HTTP/2's `:scheme` are written by strangers:
/// a list of four keeps the number of series finite.
#[must_use]
pub fn known(scheme: &str) -> Option<&'static str> {
    ["https", "http", "wss", "ws"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))
}

/// The scheme a server records, which the conventions require it to.
///
/// The first that is known: what a believed proxy forwards; what the server was told about its own connection
/// (`"https"` where TLS ends here); what the request's target says, as it does in HTTP/2. Else `http`, for the target of an
/// HTTP/1.1 request holds a path and nothing more.
///
/// ```
/// use tower_otel_semconv::{Target, Forwarded, server_scheme as scheme};
///
/// let uri = http::Uri::from_static("/users");
/// let target = Target::of(&uri);
/// let nothing = Forwarded::default();
/// assert_eq!(scheme::on_server(&nothing, None, &target), "http");
/// assert_eq!(scheme::on_server(&nothing, Some("https"), &target), "https");
/// ```
#[must_use]
pub fn on_server(
    forwarded: &Forwarded<'_>,
    connection: Option<&str>,
    target: &Target<'_>,
) -> &'static str {
    forwarded
        .proto
        .or_else(|| known(connection?))
        .or_else(|| known(target.scheme?))
        .unwrap_or("http")
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use http::Uri;

    #[test]
    fn a_scheme_outside_the_list_is_absent() {
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
            assert_eq!(known(scheme), expected, "{scheme:?}");
        }
    }

    #[test]
    fn a_believed_proxy_knows_best_and_the_uri_least() {
        let origin = Uri::from_static("/a");
        let absolute = Uri::from_static("https://a/b");
        for (proto, connection, uri, expected) in [
            (Some("https"), Some("http"), &origin, "https"),
            (None, Some("https"), &origin, "https"),
            (None, Some("http"), &absolute, "http"),
            (None, None, &absolute, "https"),
            (None, Some("unix"), &absolute, "https"),
            (None, None, &origin, "http"),
        ] {
            let forwarded = Forwarded {
                proto,
                ..Forwarded::default()
            };
            assert_eq!(
                on_server(&forwarded, connection, &Target::of(uri)),
                expected
            );
        }
    }
}
