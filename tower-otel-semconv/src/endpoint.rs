//! The network address of a peer or client.
//!
//! See [client attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/client/) and
//! [network attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/).

use std::net::{IpAddr, SocketAddr};

use crate::host_port::parse_port;

/// A network address with an optional port.
///
/// Contains the values of `client.address` and `client.port`, or of `network.peer.address` and `network.peer.port`. An
/// IPv4-mapped IPv6 address, which dual-stack sockets report (`::ffff:192.0.2.1`), is converted to IPv4. Port 0
/// is converted to `None`.
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
    /// The port, if it is known.
    pub port: Option<u16>,
}

impl Endpoint {
    const fn without_port(address: IpAddr) -> Self {
        Self {
            address: address.to_canonical(),
            port: None,
        }
    }

    /// Parses an address in the notations that proxies write.
    ///
    /// These are `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:4711`. An invalid or
    /// obfuscated port (`_port`) is omitted; the address is still returned.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::without_port(address));
        }
        let (address, port) = match text.strip_prefix('[') {
            Some(remaining) => {
                let (address, remaining) = remaining.split_once(']')?;
                let port = if remaining.is_empty() {
                    None
                } else {
                    Some(remaining.strip_prefix(':')?)
                };
                (IpAddr::V6(address.parse().ok()?), port)
            }
            None => {
                let (address, port) = text.split_once(':')?;
                (IpAddr::V4(address.parse().ok()?), Some(port))
            }
        };
        Some(Self {
            port: port.and_then(|port| parse_port(port.as_bytes()).flatten()),
            ..Self::without_port(address)
        })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            port: Some(address.port()).filter(|&port| port != 0),
            ..Self::without_port(address.ip())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_is_parsed() {
        for case in [
            "192.0.2.1 => 192.0.2.1 -",
            "192.0.2.1:4711 => 192.0.2.1 4711",
            "2001:db8::1 => 2001:db8::1 -",
            "2001:DB8::1 => 2001:db8::1 -",
            "[2001:db8::1] => 2001:db8::1 -",
            "[2001:db8::1]:4711 => 2001:db8::1 4711",
            "192.0.2.1:_hidden => 192.0.2.1 -",
            "192.0.2.1:99999 => 192.0.2.1 -",
            "::ffff:192.0.2.1 => 192.0.2.1 -",
            "[::ffff:192.0.2.1]:80 => 192.0.2.1 80",
        ] {
            let (text, expected) = case.split_once(" => ").unwrap();
            let Endpoint { address, port } = Endpoint::parse(text).unwrap();
            let port = port.map_or("-".to_owned(), |port| port.to_string());
            assert_eq!(format!("{address} {port}"), expected, "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_none() {
        for text in "|unknown|_x|example.com|1.2.3|1.2.3.4.5|[::1|[1.2.3.4]|[::1]80| ::1".split('|')
        {
            assert_eq!(Endpoint::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn port_0_is_omitted() {
        let peer = Endpoint::from("127.0.0.1:0".parse::<SocketAddr>().unwrap());
        assert_eq!(peer.port, None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "(?s).*") {
            let _ = Endpoint::parse(&text);
        }

        #[test]
        fn a_socket_address_round_trips(ip in any::<IpAddr>(), port in 1_u16..) {
            let socket = SocketAddr::new(ip, port);
            prop_assert_eq!(Endpoint::parse(&socket.to_string()), Some(socket.into()));
        }
    }
}
