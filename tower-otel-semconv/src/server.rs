//! The server of a request: `server.address` and `server.port`.
//!
//! On a server both are opt-in for metrics, because the client controls them.
//!
//! See [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes).

use http::HeaderValue;

use crate::host_port::HostPort;
use crate::kind::Kind;
use crate::last_host;
use crate::target::Target;

/// Returns the server that a request names: the authority of the target, else the `Host` header. `host` returns this header
/// if it occurs exactly once. Returns `None` if the request has neither, or if the first that it has is invalid.
///
/// On a server, an authority with user information is invalid. The port is `None` unless it was written: behind a proxy, the
/// client may have used another port than the default. The caller gives precedence to a
/// [host that a trusted proxy forwards](crate::Forwarded::host).
///
/// On a client, the conventions require the port. Without a port, the default port of the scheme is returned. User
/// information in the URL is ignored.
///
/// ```
/// use http::{Request, Uri, header::HOST};
/// use tower_otel_semconv::{HostPort, Kind, Target, named_server, single_header};
///
/// let request = Request::get("/users").header("host", "[::1]:5000").body(())?;
/// let host = || single_header(request.headers(), &HOST);
/// let server = named_server(Kind::Server, &Target::of(request.uri()), host);
/// assert_eq!(server, Some(HostPort { host: "::1", port: Some(5000) }));
///
/// let uri = Uri::from_static("https://api.example.com/users");
/// let server = named_server(Kind::Client, &Target::of(&uri), || None);
/// assert_eq!(server, Some(HostPort { host: "api.example.com", port: Some(443) }));
/// # Ok::<(), http::Error>(())
/// ```
#[doc(hidden)]
#[must_use]
#[inline]
pub fn named_server<'a>(
    kind: Kind,
    target: &Target<'a>,
    host: impl FnOnce() -> Option<&'a HeaderValue>,
) -> Option<HostPort<'a>> {
    let server = match target.authority {
        // HTTP forbids user information in a received target.
        Some(_) if target.has_userinfo && kind == Kind::Server => None,
        Some(authority) => last_host::parse(authority),
        None => last_host::parse(host()?.to_str().ok()?),
    };
    match kind {
        Kind::Server => server,
        Kind::Client => server.map(|server| server.or_default_port(target.scheme)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::headers::single_header;
    use http::{HeaderMap, header::HOST};

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
        for line in [
            "http://authority.example/ | host.example => authority.example -",
            "/ | host.example:81 => host.example 81",
            "tunnel.example:443 | => tunnel.example 443",
            "/ | => none",
            "/ | host.example host.example => none",
            "/ | host.example:port => none",
            "/ | h\u{f6}st.example => none",
            "http://user:pass@authority.example/ | host.example => none",
        ] {
            let (uri, headers, expected) = case(line);
            let host = || single_header(&headers, &HOST);
            let server = named_server(Kind::Server, &Target::of(&uri), host);
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
            let host = || single_header(&headers, &HOST);
            let server = named_server(Kind::Client, &Target::of(&uri), host);
            assert_eq!(text(server), expected, "{line}");
        }
    }
}
