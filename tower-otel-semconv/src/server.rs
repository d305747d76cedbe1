//! The server of a request: `server.address` and `server.port`.
//!
//! On a server both are opt-in for metrics, because the client controls them.
//!
//! See [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes).

use http::{HeaderMap, HeaderValue, header::HOST};

use crate::forwarded::Forwarded;
use crate::headers::single_header;
use crate::host_port::HostPort;
use crate::target::Target;

/// Returns the server that a received request names.
///
/// The first of these sources is used, even if it is invalid:
///
/// 1. the host that a trusted proxy forwarded
/// 2. the authority of the target, which is `:authority` in HTTP/2; `None` if it contains user information
/// 3. the `Host` header, if it occurs exactly once
///
/// The port is `None` unless it was written: behind a proxy, the client may have used another port than the default.
///
/// ```
/// use http::Request;
/// use tower_otel_semconv::{Forwarded, HostPort, Target, server};
///
/// let request = Request::get("/users").header("host", "[::1]:5000").body(())?;
/// let forwarded = Forwarded::default();
/// let server = server::on_server(&forwarded, &Target::of(request.uri()), request.headers());
/// assert_eq!(server, Some(HostPort { host: "::1", port: Some(5000) }));
/// # Ok::<(), http::Error>(())
/// ```
#[must_use]
pub fn on_server<'a>(
    forwarded: &'a Forwarded<'_>,
    target: &Target<'a>,
    headers: &'a HeaderMap,
) -> Option<HostPort<'a>> {
    named_on_server(forwarded, target, headers).and_then(HostPort::parse_bytes)
}

/// Returns the text that [`on_server`] parses, for callers that parse it later.
#[doc(hidden)]
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
        // HTTP forbids user information in a received target.
        Some(_) if target.has_userinfo => None,
        Some(authority) => Some(authority.as_bytes()),
        None => host_header(headers),
    }
}

/// Returns the server that a client sends a request to: the authority of the target, else the `Host` header.
///
/// The conventions require the port on a client. Without a port, the default port of the scheme is returned. User
/// information in the URL is ignored.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use tower_otel_semconv::{HostPort, Target, server};
///
/// let (uri, headers) = (Uri::from_static("https://api.example.com/users"), HeaderMap::new());
/// let server = server::on_client(&Target::of(&uri), &headers);
/// assert_eq!(server, Some(HostPort { host: "api.example.com", port: Some(443) }));
/// ```
#[must_use]
pub fn on_client<'a>(target: &Target<'a>, headers: &'a HeaderMap) -> Option<HostPort<'a>> {
    let host = named_on_client(target, headers).and_then(HostPort::parse_bytes);
    host.map(|host| host.or_default_port(target.scheme))
}

/// Returns the text that [`on_client`] parses, for callers that parse it later.
#[doc(hidden)]
#[must_use]
pub fn named_on_client<'a>(target: &Target<'a>, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    match target.authority {
        Some(authority) => Some(authority.as_bytes()),
        None => host_header(headers),
    }
}

fn host_header(headers: &HeaderMap) -> Option<&[u8]> {
    single_header(headers, &HOST).map(HeaderValue::as_bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    /// Parses a table line `target | Host headers => host port`.
    fn case(line: &str) -> (http::Uri, HeaderMap, &str) {
        let (request, expected) = line.split_once(" => ").unwrap();
        let (uri, hosts) = request.split_once(" |").unwrap();
        let host = |host: &str| (HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        let headers = hosts.split_whitespace().map(host).collect();
        (uri.parse().unwrap(), headers, expected)
    }

    fn text(server: Option<HostPort<'_>>) -> String {
        server.map_or("none".to_owned(), |HostPort { host, port }| {
            let port = port.map_or("-".to_owned(), |port| port.to_string());
            format!("{host} {port}")
        })
    }

    #[test]
    fn a_server_uses_the_first_source_even_if_it_is_invalid() {
        let not_forwarded = Forwarded::default();
        let forwarded = Forwarded {
            host: Some("front.example:8443".into()),
            ..Forwarded::default()
        };
        let invalid = Forwarded {
            host: Some("a b".into()),
            ..Forwarded::default()
        };
        for (forwarded, line) in [
            (
                &forwarded,
                "http://authority.example/ | host.example => front.example 8443",
            ),
            (
                &not_forwarded,
                "http://authority.example/ | host.example => authority.example -",
            ),
            (&not_forwarded, "/ | host.example:81 => host.example 81"),
            (&not_forwarded, "tunnel.example:443 | => tunnel.example 443"),
            (&not_forwarded, "/ | => none"),
            (&not_forwarded, "/ | host.example host.example => none"),
            (&not_forwarded, "/ | host.example:port => none"),
            (&not_forwarded, "/ | h\u{f6}st.example => none"),
            (
                &not_forwarded,
                "http://user:pass@authority.example/ | host.example => none",
            ),
            (&invalid, "/ | host.example => none"),
        ] {
            let (uri, headers, expected) = case(line);
            let server = on_server(forwarded, &Target::of(&uri), &headers);
            assert_eq!(text(server), expected, "{line}");
        }
    }

    #[test]
    fn a_client_uses_the_default_port_of_the_scheme() {
        for line in [
            "http://a.example/ | => a.example 80",
            "https://a.example/ | host.example => a.example 443",
            "https://a.example:8443/ | => a.example 8443",
            "https://user:pass@[2001:db8::1]/ | => 2001:db8::1 443",
            "/ | host.example => host.example -",
            "/ | host.example:81 => host.example 81",
            "/ | => none",
        ] {
            let (uri, headers, expected) = case(line);
            let server = on_client(&Target::of(&uri), &headers);
            assert_eq!(text(server), expected, "{line}");
        }
    }
}
