//! The other end of a connection, and the client behind it.
//!
//! See [client attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/client/) and
//! [network attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/).

use std::net::{IpAddr, SocketAddr};

use super::host_port::parse_port;

/// An address, and a port where one is known: `client.address` and `client.port`, or `network.peer.address` and
/// `network.peer.port`.
///
/// An IPv4 address that arrived in IPv6 clothes (`::ffff:192.0.2.1`, as a dual-stack socket reports it) is the IPv4
/// address. Port 0 is no port.
///
/// ```
/// use std::net::SocketAddr;
/// use tower_otel_semconv::Endpoint;
///
/// let peer = Endpoint::from("[::ffff:192.0.2.1]:4711".parse::<SocketAddr>()?);
/// assert_eq!((peer.address.to_string().as_str(), peer.port), ("192.0.2.1", Some(4711)));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port, if known.
    pub port: Option<u16>,
}

impl Endpoint {
    /// Reads an address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`,
    /// `[2001:db8::1]:4711`. A port that cannot be read, or that its writer hides (`_port`), is absent; it does not
    /// cost the address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(address.into());
        }
        let (address, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() {
                    None
                } else {
                    Some(rest.strip_prefix(':')?)
                };
                (IpAddr::V6(address.parse().ok()?), port)
            }
            None => {
                let (address, port) = text.split_once(':')?;
                (IpAddr::V4(address.parse().ok()?), Some(port))
            }
        };
        Some(Self {
            port: port.and_then(parse_port),
            ..address.into()
        })
    }
}

impl From<IpAddr> for Endpoint {
    fn from(address: IpAddr) -> Self {
        Self {
            address: address.to_canonical(),
            port: None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            port: Some(address.port()).filter(|&port| port != 0),
            ..address.ip().into()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<(String, Option<u16>)> {
        Endpoint::parse(text).map(|e| (e.address.to_string(), e.port))
    }

    #[test]
    fn every_usual_spelling_is_read() {
        for (text, address, port) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:4711", "192.0.2.1", Some(4711)),
            ("2001:db8::1", "2001:db8::1", None),
            ("2001:DB8::1", "2001:db8::1", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:4711", "2001:db8::1", Some(4711)),
            ("192.0.2.1:_hidden", "192.0.2.1", None),
            ("192.0.2.1:99999", "192.0.2.1", None),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1", Some(80)),
        ] {
            assert_eq!(parse(text), Some((address.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_absent() {
        for text in [
            "",
            "unknown",
            "_x",
            "example.com",
            "1.2.3",
            "1.2.3.4.5",
            "[::1",
            "[1.2.3.4]",
            "[::1]80",
            " ::1",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn port_zero_is_no_port() {
        let peer = Endpoint::from("127.0.0.1:0".parse::<SocketAddr>().unwrap());
        assert_eq!(peer.port, None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).*") {
            let _ = Endpoint::parse(&text);
        }

        #[test]
        fn any_socket_address_is_read_back(ip in any::<IpAddr>(), port in 1_u16..) {
            let socket = SocketAddr::new(ip, port);
            prop_assert_eq!(Endpoint::parse(&socket.to_string()), Some(socket.into()));
        }
    }
}
