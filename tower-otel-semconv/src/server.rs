//! Which server was meant: `server.address` and `server.port`.
//!
//! On a server both are opt-in for metrics: the client chooses them.
//!
//! See [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes).

use http::{HeaderMap, HeaderValue, header::HOST};

use super::host_port::HostPort;
use super::trusted_proxies::Forwarded;
use crate::{Target, only_value};

/// The server a received request asked for.
///
/// The first that is there: a believed forwarded host; the URI's authority, which is HTTP/2's `:authority`; the
/// `Host` header. The first decides even if it cannot be read, and two `Host` lines are none, since either might be
/// the one another hop believed. The port is there only if it was written: behind a proxy the scheme's default may
/// not be what the client dialled.
///
/// ```
/// use http::Request;
/// use tower_otel_semconv::{Target, Forwarded, HostPort, server};
///
/// let request = Request::get("/users").header("host", "[::1]:5000").body(())?;
/// let nothing = Forwarded::default();
/// let server = server::on_server(&nothing, &Target::of(request.uri()), request.headers());
/// assert_eq!(server, Some(HostPort { host: "::1", port: Some(5000) }));
/// # Ok::<(), http::Error>(())
/// ```
#[must_use]
pub fn on_server<'a>(
    forwarded: &'a Forwarded<'_>,
    target: &Target<'a>,
    headers: &'a HeaderMap,
) -> Option<HostPort<'a>> {
    named_on_server(forwarded, target, headers).and_then(HostPort::read)
}

/// The text that [`on_server`] reads, for who reads it later.
#[must_use]
pub fn named_on_server<'a>(
    forwarded: &'a Forwarded<'_>,
    target: &Target<'a>,
    headers: &'a HeaderMap,
) -> Option<&'a [u8]> {
    if let Some(host) = &forwarded.host {
        return Some(host.as_bytes());
    }
    match target.authority {
        // HTTP forbids credentials here; who sends them may have meant anything.
        Some(_) if target.has_userinfo => None,
        Some(authority) => Some(authority.as_bytes()),
        None => host_header(headers),
    }
}

/// The server a request is about to be sent to: the URI's authority, else the `Host` header.
///
/// The conventions require the port here, so the scheme's default stands in where none was written; it is absent
/// only if there is no scheme either. Credentials in the URL are stepped over.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use tower_otel_semconv::{Target, HostPort, server};
///
/// let (uri, headers) = (Uri::from_static("https://api.example.com/users"), HeaderMap::new());
/// let server = server::on_client(&Target::of(&uri), &headers);
/// assert_eq!(server, Some(HostPort { host: "api.example.com", port: Some(443) }));
/// ```
#[must_use]
pub fn on_client<'a>(target: &Target<'a>, headers: &'a HeaderMap) -> Option<HostPort<'a>> {
    let host = named_on_client(target, headers).and_then(HostPort::read);
    host.map(|host| host.or_default_port(target.scheme))
}

/// The text that [`on_client`] reads, for who reads it later.
#[must_use]
pub fn named_on_client<'a>(target: &Target<'a>, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    match target.authority {
        Some(authority) => Some(authority.as_bytes()),
        None => host_header(headers),
    }
}

fn host_header(headers: &HeaderMap) -> Option<&[u8]> {
    only_value(headers, &HOST).map(HeaderValue::as_bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    fn hosts(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (HOST, HeaderValue::from_bytes(line.as_bytes()).unwrap()))
            .collect()
    }

    fn host(host: &str, port: Option<u16>) -> Option<HostPort<'_>> {
        Some(HostPort { host, port })
    }

    #[test]
    fn the_first_source_decides_on_a_server() {
        let nothing = Forwarded::default();
        let proxy = Forwarded {
            host: Some("front.example:8443".into()),
            ..Forwarded::default()
        };
        let broken = Forwarded {
            host: Some("a b".into()),
            ..Forwarded::default()
        };
        for (forwarded, uri, lines, expected) in [
            (
                &proxy,
                "http://authority.example/",
                &["host.example"][..],
                host("front.example", Some(8443)),
            ),
            (
                &nothing,
                "http://authority.example/",
                &["host.example"],
                host("authority.example", None),
            ),
            (
                &nothing,
                "/",
                &["host.example:81"],
                host("host.example", Some(81)),
            ),
            (
                &nothing,
                "tunnel.example:443",
                &[],
                host("tunnel.example", Some(443)),
            ),
            (&nothing, "/", &[], None),
            (&nothing, "/", &["host.example", "host.example"], None),
            (&nothing, "/", &["host.example:port"], None),
            (&nothing, "/", &["h\u{f6}st.example"], None),
            (
                &nothing,
                "http://user:pass@authority.example/",
                &["host.example"],
                None,
            ),
            (&broken, "/", &["host.example"], None),
        ] {
            let (uri, headers) = (uri.parse().unwrap(), hosts(lines));
            assert_eq!(
                on_server(forwarded, &Target::of(&uri), &headers),
                expected,
                "{uri} {lines:?}"
            );
        }
    }

    #[test]
    fn a_client_fills_in_the_port_of_the_scheme() {
        for (uri, lines, expected) in [
            ("http://a.example/", &[][..], host("a.example", Some(80))),
            (
                "https://a.example/",
                &["host.example"],
                host("a.example", Some(443)),
            ),
            (
                "https://a.example:8443/",
                &[],
                host("a.example", Some(8443)),
            ),
            (
                "https://user:pass@[2001:db8::1]/",
                &[],
                host("2001:db8::1", Some(443)),
            ),
            ("/", &["host.example"], host("host.example", None)),
            ("/", &["host.example:81"], host("host.example", Some(81))),
            ("/", &[], None),
        ] {
            let (uri, headers) = (uri.parse().unwrap(), hosts(lines));
            assert_eq!(
                on_client(&Target::of(&uri), &headers),
                expected,
                "{uri} {lines:?}"
            );
        }
    }
}
