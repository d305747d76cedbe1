//! The origin of the page that a browser sends a request for.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::HeaderValue;

/// Returns whether this value of `Origin` is `localhost` or a loopback address.
pub(crate) fn is_loopback_origin(origin: &HeaderValue) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let schemes = ["http://", "https://"];
    let authority = schemes
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    authority.is_some_and(|authority| is_loopback(host(authority)))
}

/// Returns the host of an authority without user information.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse().is_ok_and(|v6: Ipv6Addr| v6.is_loopback()),
        None => host == "localhost" || host.parse().is_ok_and(|v4: Ipv4Addr| v4.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_loopback_addresses_are_trusted() {
        for (origin, expected) in [
            ("http://localhost", true),
            ("http://localhost:3000", true),
            ("https://127.0.0.1:3000", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://[::1]:80", true),
            ("null", false),
            ("", false),
            ("localhost", false),
            ("http://evil.example", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example:3000", false),
            ("http://localhost@evil.example", false),
            ("http://evil.example:80@localhost", false),
            ("http://evil.example#localhost", false),
            ("http://[::2]", false),
            ("http://::1", false),
            ("http://10.0.0.1", false),
            ("file://localhost", false),
        ] {
            let header = HeaderValue::from_static(origin);
            assert_eq!(is_loopback_origin(&header), expected, "{origin}");
        }
    }
}
