//! The values that trusted proxies wrote into one header family, `Forwarded` or `X-Forwarded-*`.

use std::borrow::Cow;

use http::HeaderMap;

use crate::endpoint::Endpoint;
use crate::forwarded_element::Node;
use crate::host_port::HostPort;
use crate::known_scheme::known_scheme;
use crate::proxy_headers::{
    X_FORWARDED_HOST, X_FORWARDED_PROTO, forwarded, x_forwarded, x_forwarded_for,
};
use crate::proxy_trust::ProxyTrust;

/// The client, scheme and host according to one header family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardedView<'h> {
    /// The client. `None` if the headers contain none.
    pub(crate) client: Option<Node>,
    /// The scheme, if it is known.
    pub(crate) proto: Option<&'static str>,
    /// The host, if it is valid.
    pub(crate) host: Option<Cow<'h, str>>,
}

impl<'h> ForwardedView<'h> {
    /// Creates a view. An unknown scheme and an invalid host are omitted.
    fn new(client: Option<Node>, proto: Option<&str>, host: Option<Cow<'h, str>>) -> Self {
        Self {
            client,
            proto: proto.and_then(known_scheme),
            host: host.filter(|host| HostPort::parse(host).is_some()),
        }
    }

    /// Reads `Forwarded`.
    ///
    /// The client is the first node that is not trusted. Scheme and host are from the farthest trusted element.
    pub(crate) fn from_forwarded(proxies: &ProxyTrust, headers: &'h HeaderMap) -> Self {
        let mut client = None;
        let (mut proto, mut host) = (None, None);
        for (element, distance) in forwarded(headers).zip(1..) {
            // An invalid element still counts as a hop.
            let Some(element) = element else {
                client = Some(Node::Unknown);
                if proxies.trusts(distance, None) {
                    continue;
                }
                break;
            };
            client = element.node.or(client.map(|_| Node::Unknown));
            proto = element.proto.or(proto);
            host = element.host.or(host);
            if !proxies.trusts(distance, element.node.and_then(Node::endpoint)) {
                break;
            }
        }
        Self::new(client, proto.as_deref(), host)
    }

    /// Reads `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    ///
    /// Scheme and host are from the farthest trusted entries. The number of trusted hops limits the number of entries.
    pub(crate) fn from_x_forwarded(proxies: &ProxyTrust, headers: &'h HeaderMap) -> Self {
        let mut client = None;
        let mut hops = 1;
        for (node, distance) in x_forwarded_for(headers).zip(1..) {
            client = Some(node);
            hops = distance;
            if !proxies.trusts(distance, node.endpoint()) {
                break;
            }
        }
        let trusted = proxies.trusted_entries(hops);
        let farthest = |name| x_forwarded(headers, name).take(trusted).last().flatten();
        Self::new(
            client,
            farthest(&X_FORWARDED_PROTO),
            farthest(&X_FORWARDED_HOST).map(Cow::Borrowed),
        )
    }

    /// Returns the values that are equal in the views of both header families.
    ///
    /// Other values are dropped. If the clients differ, or only one view has a client, it is [`Node::Unknown`]. Scheme and host
    /// are compared even if the clients are equal, because a client can forge them and knows its own address.
    pub(crate) fn in_common_with(self, other: Self) -> Self {
        Self {
            client: match (self.client, other.client) {
                (Some(Node::Address(a)), Some(Node::Address(b))) if a.address == b.address => {
                    Some(Node::Address(Endpoint {
                        port: a.port.or(b.port),
                        ..a
                    }))
                }
                (None, None) => None,
                _ => Some(Node::Unknown),
            },
            proto: self.proto.filter(|proto| other.proto == Some(*proto)),
            host: self.host.filter(|host| {
                let other = other.host.as_deref();
                other.is_some_and(|other| host.eq_ignore_ascii_case(other))
            }),
        }
    }
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;

    /// Parses a view written as `client proto host`. `-` means no value.
    fn view(text: &'static str) -> ForwardedView<'static> {
        let mut values = text
            .split(' ')
            .map(|value| Some(value).filter(|v| *v != "-"));
        let mut next = || values.next().flatten();
        ForwardedView::new(next().map(Node::parse), next(), next().map(Cow::Borrowed))
    }

    #[test]
    fn only_values_that_both_views_have_are_used() {
        for (a, b, merged) in [
            (
                "192.0.2.1 https a.example",
                "192.0.2.1 https a.example",
                "192.0.2.1 https a.example",
            ),
            ("192.0.2.1 https a.example", "- - -", "unknown - -"),
            (
                "192.0.2.1 - a.example",
                "192.0.2.1 https -",
                "192.0.2.1 - -",
            ),
            ("- - -", "- - -", "- - -"),
            (
                "192.0.2.1 https a.example",
                "192.0.2.1:80 HTTPS a.example",
                "192.0.2.1:80 https a.example",
            ),
            (
                "192.0.2.1 https a.example",
                "192.0.2.2 http b.example",
                "unknown - -",
            ),
            (
                "192.0.2.1 https a.example",
                "unknown http a.example:1",
                "unknown - -",
            ),
        ] {
            assert_eq!(view(a).in_common_with(view(b)), view(merged), "{a} and {b}");
            assert_eq!(view(b).in_common_with(view(a)), view(merged), "{b} and {a}");
        }
    }

    #[test]
    fn an_unknown_scheme_and_an_invalid_host_are_omitted() {
        assert_eq!(view("- gopher a/b"), view("- - -"));
    }
}
