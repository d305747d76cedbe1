//! Checks the `Host` header against DNS rebinding.
//!
//! An attacker can make a browser resolve the attacker's host name to 127.0.0.1. A web page of that host could then read the
//! traces. `Host` of such a request contains the attacker's host name.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Request;
use http::header::HOST;

/// Returns whether the request has exactly one `Host`, or an `:authority` and no `Host`, and this host is `localhost` or a
/// loopback address. If `is_remote`, any IP address is accepted.
pub(crate) fn is_allowed<B>(request: &Request<B>, is_remote: bool) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        // `Host` is optional in HTTP/2.
        (None, _) => request
            .uri()
            .authority()
            .map(|authority| authority.as_str()),
        _ => None,
    };
    host.is_some_and(|host| is_allowed_host(host, is_remote))
}

fn is_allowed_host(host: &str, is_remote: bool) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        let Some((address, port)) = bracketed.split_once(']') else {
            return false;
        };
        let address = address.parse::<Ipv6Addr>();
        return is_port(port) && address.is_ok_and(|address| is_remote || address.is_loopback());
    }
    let name_end = host.find(':').unwrap_or(host.len());
    let (name, port) = host.split_at(name_end);
    if !is_port(port) {
        return false;
    }
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return is_remote || address.is_loopback();
    }
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Returns whether the text is empty, or a colon and a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn allowed(hosts: &[&str], is_remote: bool) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let mut request = Request::new(());
        *request.headers_mut() = headers;
        is_allowed(&request, is_remote)
    }

    #[test]
    fn only_localhost_and_loopback_addresses_are_hosts() {
        for host in [
            "localhost",
            "LocalHost:4319",
            "127.0.0.1:4319",
            "127.8.9.1",
            "[::1]",
            "[::1]:4319",
            "app.localhost:1",
        ] {
            assert!(allowed(&[host], false), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:4319",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "192.168.1.7:4319",
            "[fe80::1]",
            "[::1",
            "[::1]x",
            "localhost:http",
            "localhost:1:2",
            "0.0.0.0",
            "a@localhost",
        ] {
            assert!(!allowed(&[host], false), "{host}");
        }
        assert!(!allowed(&[], false));
        assert!(!allowed(&["localhost", "evil.example"], false));
    }

    #[test]
    fn the_authority_stands_for_an_absent_host_only() {
        for (uri, host, expected) in [
            ("http://localhost:3000/", None, true),
            ("http://evil.example/", None, false),
            ("http://a@localhost/", None, false),
            ("http://localhost/", Some("evil.example"), false),
            ("/", None, false),
        ] {
            let mut request = Request::builder().uri(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(is_allowed(&request, false), expected, "{uri}");
        }
    }

    #[test]
    fn remote_readers_use_addresses_and_no_names() {
        for host in ["192.168.1.7:4319", "[fe80::1]", "localhost", "0.0.0.0"] {
            assert!(allowed(&[host], true), "{host}");
        }
        assert!(!allowed(&["evil.example"], true));
    }
}
