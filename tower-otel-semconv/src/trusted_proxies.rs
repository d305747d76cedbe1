//! Which proxies are ours, and so how much of their story is believed.
//!
//! Any client can send `X-Forwarded-For: 6.6.6.6`. What makes such a line worth reading is only who wrote it, and each
//! proxy writes at the end. So the walk begins at the socket's peer and goes outwards: as long as a hop is one of
//! ours, what it wrote is believed, and the first hop that is not ours is the client. Whatever the client itself
//! wrote lies beyond and is never reached.
//!
//! See [HTTP server spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span).

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;

use super::cidr::{BadCidr, Cidr};
use super::endpoint::Endpoint;
use super::forwarded_element::{
    Node, X_FORWARDED_HOST, X_FORWARDED_PROTO, elements, x_forwarded, x_forwarded_for,
};
use super::forwarded_view::Story;

/// The proxies between the world and this server. The default is [`none`](Self::none): forwarded headers are ignored.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use std::net::IpAddr;
/// use tower_otel_semconv::Proxies;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.7, 10.0.0.2"));
/// let peer = "10.0.0.1".parse::<IpAddr>()?;
/// let client = |proxies: Proxies| {
///     proxies.believe(&headers, Some(peer.into())).client.map(|client| client.address.to_string())
/// };
///
/// assert_eq!(client(Proxies::none()).as_deref(), Some("10.0.0.1"));
/// assert_eq!(client(Proxies::hops(2)).as_deref(), Some("203.0.113.7"));
/// assert_eq!(client(Proxies::cidrs(["10.0.0.0/8"])?).as_deref(), Some("203.0.113.7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    ours: Ours,
    reading: ForwardedBy,
}

#[derive(Clone, Debug, Default)]
enum Ours {
    #[default]
    None,
    Hops(usize),
    Cidrs(Arc<[Cidr]>),
    All,
}

/// Which headers our proxies write.
///
/// A proxy that writes one family and lets the other pass hands on whatever the client put there. Unless the family
/// is named, a client can so make its address absent, though never another's; so name it, if you know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// Not known: both families are read. Where they contradict each other, one of them is forged or stale, and
    /// neither is believed in that matter.
    #[default]
    Either,
    /// Only `Forwarded` (RFC 7239).
    Forwarded,
    /// Only `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    XForwarded,
}

/// What may be believed of a request's way here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded<'a> {
    /// The client: the first hop that is not ours, and the peer itself if nothing is forwarded. Absent when our own
    /// proxy hides it, when it cannot be read, or when there is no peer address.
    pub client: Option<Endpoint>,
    /// The scheme the client used, in lower case; only one of those in [`scheme::known`](super::server_scheme::known).
    pub proto: Option<&'static str>,
    /// The host the client asked for, as it was written; only if [`HostPort::parse`](super::HostPort::parse) can read it.
    pub host: Option<Cow<'a, str>>,
}

impl Proxies {
    /// No proxy is ours: the peer is the client, and no header changes that.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The `n` nearest hops are ours, the peer being the first, whatever their addresses. `hops(0)` is
    /// [`none`](Self::none).
    ///
    /// Right only where nobody can reach this server past those proxies, and each of them writes its entry.
    #[must_use]
    pub fn hops(n: usize) -> Self {
        Self {
            ours: Ours::Hops(n),
            ..Self::default()
        }
    }

    /// Hops with an address in one of these ranges are ours. A single address is a range of one. Without a peer
    /// address nothing is believed.
    ///
    /// # Errors
    ///
    /// [`BadCidr`] names the first text that is no range.
    pub fn cidrs<I>(ranges: I) -> Result<Self, BadCidr>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let ranges = ranges
            .into_iter()
            .map(|range| range.as_ref().parse())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            ours: Ours::Cidrs(ranges),
            ..Self::default()
        })
    }

    /// Everyone is believed, the client included. For a network without strangers, and nowhere else.
    #[must_use]
    pub fn all() -> Self {
        Self {
            ours: Ours::All,
            ..Self::default()
        }
    }

    /// Says which headers our proxies write. The default is [`ForwardedBy::Either`].
    #[must_use]
    pub fn reading(self, reading: ForwardedBy) -> Self {
        Self { reading, ..self }
    }

    /// What may be believed of these headers, received from this peer.
    ///
    /// Scheme and host are taken from the farthest believed hop that gives one, for it stood nearest to the client.
    /// In an `X-Forwarded-Proto` or `-Host` list no more entries are believed than hops.
    #[must_use]
    pub fn believe<'h>(&self, headers: &'h HeaderMap, peer: Option<Endpoint>) -> Forwarded<'h> {
        if !self.is_ours(0, peer) {
            return Forwarded {
                client: peer,
                proto: None,
                host: None,
            };
        }
        let story = match self.reading {
            ForwardedBy::Forwarded => self.forwarded(headers),
            ForwardedBy::XForwarded => self.x_forwarded(headers),
            ForwardedBy::Either => self.forwarded(headers).reconcile(self.x_forwarded(headers)),
        };
        Forwarded {
            client: story.client.map_or(peer, Node::endpoint),
            proto: story.proto,
            host: story.host,
        }
    }

    /// Whether the hop at this distance is ours, the peer being at 0.
    fn is_ours(&self, distance: usize, hop: Option<Endpoint>) -> bool {
        match &self.ours {
            Ours::None => false,
            Ours::Hops(n) => distance < *n,
            Ours::Cidrs(ranges) => hop.is_some_and(|hop| {
                ranges
                    .iter()
                    .any(|range| range.contains(hop.address.to_canonical()))
            }),
            Ours::All => true,
        }
    }

    fn forwarded<'h>(&self, headers: &'h HeaderMap) -> Story<'h> {
        let mut client = None;
        let (mut proto, mut host) = (None, None);
        for (element, distance) in elements(headers).zip(1..) {
            // An element nobody can read still stands for a hop.
            let Some(element) = element else {
                client = Some(Node::Unknown);
                if self.is_ours(distance, None) {
                    continue;
                }
                break;
            };
            client = element.node.or(client.map(|_| Node::Unknown));
            proto = element.proto.or(proto);
            host = element.host.or(host);
            if !self.is_ours(distance, element.node.and_then(Node::endpoint)) {
                break;
            }
        }
        Story::new(client, proto.as_deref(), host)
    }

    fn x_forwarded<'h>(&self, headers: &'h HeaderMap) -> Story<'h> {
        let mut client = None;
        let mut hops = 1;
        for (node, distance) in x_forwarded_for(headers).zip(1..) {
            client = Some(node);
            hops = distance;
            if !self.is_ours(distance, node.endpoint()) {
                break;
            }
        }
        let believed = match self.ours {
            Ours::None => 0,
            Ours::Hops(n) => n,
            Ours::Cidrs(_) => hops,
            Ours::All => usize::MAX,
        };
        let farthest = |name| x_forwarded(headers, name).take(believed).last().flatten();
        Story::new(
            client,
            farthest(&X_FORWARDED_PROTO),
            farthest(&X_FORWARDED_HOST).map(Cow::Borrowed),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use std::net::IpAddr;

    const PEER: &str = "10.0.0.1";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        lines.iter().map(line).collect()
    }

    fn believe<'h>(proxies: &Proxies, headers: &'h HeaderMap) -> Forwarded<'h> {
        proxies.believe(headers, Some(PEER.parse::<IpAddr>().unwrap().into()))
    }

    fn client(proxies: &Proxies, lines: &[(&'static str, &str)]) -> Option<String> {
        believe(proxies, &headers(lines))
            .client
            .map(|client| client.address.to_string())
    }

    fn private() -> Proxies {
        Proxies::cidrs(["10.0.0.0/8", "fd00::/8"]).unwrap()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        let headers = headers(&[
            ("forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
        ]);
        for proxies in [
            Proxies::default(),
            Proxies::none(),
            Proxies::hops(0),
            Proxies::cidrs(["192.0.2.0/24"]).unwrap(),
        ] {
            let peer = PEER.parse::<IpAddr>().unwrap().into();
            let only_peer = Forwarded {
                client: Some(peer),
                proto: None,
                host: None,
            };
            assert_eq!(believe(&proxies, &headers), only_peer, "{proxies:?}");
        }
    }

    #[test]
    fn a_spoofed_first_entry_does_not_win() {
        for lines in [
            [(
                "x-forwarded-for",
                "6.6.6.6, 10.6.6.6, 203.0.113.7, 10.0.0.2",
            )],
            [(
                "forwarded",
                r#"for=6.6.6.6, for=10.6.6.6, for=203.0.113.7, for="10.0.0.2:99""#,
            )],
        ] {
            assert_eq!(client(&private(), &lines).as_deref(), Some("203.0.113.7"));
            assert_eq!(
                client(&Proxies::hops(2), &lines).as_deref(),
                Some("203.0.113.7")
            );
            assert_eq!(
                client(&Proxies::hops(1), &lines).as_deref(),
                Some("10.0.0.2")
            );
            assert_eq!(client(&Proxies::all(), &lines).as_deref(), Some("6.6.6.6"));
        }
    }

    #[test]
    fn a_chain_wholly_ours_begins_at_its_farthest_hop() {
        let lines = [("x-forwarded-for", "10.0.0.9, fd00::2")];
        assert_eq!(client(&private(), &lines).as_deref(), Some("10.0.0.9"));
        assert_eq!(
            client(&Proxies::hops(9), &lines).as_deref(),
            Some("10.0.0.9")
        );
        assert_eq!(client(&private(), &[]).as_deref(), Some(PEER));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_recognised() {
        let mapped = "::ffff:10.0.0.1".parse::<IpAddr>().unwrap();
        let headers = headers(&[(
            "x-forwarded-for",
            "6.6.6.6, ::ffff:203.0.113.7, ::ffff:10.0.0.2",
        )]);
        let forwarded = private().believe(&headers, Some(mapped.into()));
        assert_eq!(forwarded.client.unwrap().address.to_string(), "203.0.113.7");
    }

    #[test]
    fn a_client_our_proxy_hides_is_absent_rather_than_the_proxy() {
        for lines in [
            [("forwarded", "for=6.6.6.6, for=unknown")],
            [("forwarded", "for=6.6.6.6, for=_x;proto=https")],
            [("forwarded", "for=6.6.6.6, for=")],
            [("x-forwarded-for", "6.6.6.6, unknown")],
        ] {
            assert_eq!(client(&private(), &lines), None, "{lines:?}");
        }
    }

    #[test]
    fn without_a_peer_only_the_count_of_hops_helps() {
        let headers = headers(&[("x-forwarded-for", "203.0.113.7")]);
        assert_eq!(private().believe(&headers, None), Forwarded::default());
        assert!(Proxies::hops(1).believe(&headers, None).client.is_some());
    }

    #[test]
    fn scheme_and_host_are_those_the_outermost_proxy_saw() {
        let lists = [
            ("x-forwarded-for", "6.6.6.6, 203.0.113.7, 10.0.0.2"),
            ("x-forwarded-proto", "wss, HTTPS, http"),
            (
                "x-forwarded-host",
                "evil.example, api.example:8443, inner.example",
            ),
        ];
        let elements = [(
            "forwarded",
            "proto=ws;host=evil.example, for=203.0.113.7;proto=https;host=\"api.example:8443\", \
             for=10.0.0.2;proto=http;host=inner.example",
        )];
        for headers in [headers(&lists), headers(&elements)] {
            for proxies in [private(), Proxies::hops(2)] {
                let forwarded = believe(&proxies, &headers);
                assert_eq!(forwarded.proto, Some("https"));
                assert_eq!(forwarded.host.as_deref(), Some("api.example:8443"));
            }
            assert_eq!(believe(&Proxies::hops(1), &headers).proto, Some("http"));
        }
    }

    #[test]
    fn a_single_value_speaks_for_all_our_hops() {
        let headers = headers(&[
            ("x-forwarded-for", "203.0.113.7, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(believe(&private(), &headers).proto, Some("https"));
        assert_eq!(believe(&Proxies::hops(2), &headers).proto, Some("https"));
    }

    #[test]
    fn a_scheme_or_host_out_of_the_ordinary_is_absent() {
        let headers = headers(&[
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "user:pass@a"),
        ]);
        let forwarded = believe(&Proxies::all(), &headers);
        assert_eq!((forwarded.proto, forwarded.host), (None, None));
    }

    #[test]
    fn two_families_that_contradict_each_other_are_both_disbelieved() {
        let lines = [
            ("forwarded", "for=6.6.6.6;proto=http;host=evil.example"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example"),
        ];
        let headers = headers(&lines);
        let either = Proxies::hops(1);
        assert_eq!(believe(&either, &headers), Forwarded::default());

        let known = believe(&either.clone().reading(ForwardedBy::XForwarded), &headers);
        assert_eq!(known.client.unwrap().address.to_string(), "203.0.113.7");
        assert_eq!(
            (known.proto, known.host.as_deref()),
            (Some("https"), Some("api.example"))
        );

        let known = believe(&either.reading(ForwardedBy::Forwarded), &headers);
        assert_eq!(known.client.unwrap().address.to_string(), "6.6.6.6");
    }

    #[test]
    fn two_families_that_agree_complete_each_other() {
        let headers = headers(&[
            ("forwarded", "for=\"203.0.113.7:4711\";host=API.example"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example"),
        ]);
        let forwarded = believe(&Proxies::hops(1), &headers);
        assert_eq!(forwarded.client.unwrap().port, Some(4711));
        assert_eq!(
            (forwarded.proto, forwarded.host.as_deref()),
            (Some("https"), Some("API.example"))
        );
    }

    #[test]
    fn a_flood_of_entries_hides_nothing_but_itself() {
        let flood = format!("{}203.0.113.7", "10.9.9.9, ".repeat(5000));
        assert_eq!(
            client(&private(), &[("x-forwarded-for", &flood)]).as_deref(),
            Some("203.0.113.7")
        );
        assert_eq!(
            client(&Proxies::all(), &[("x-forwarded-for", &flood)]),
            None
        );
    }

    #[test]
    fn a_bad_range_is_an_error() {
        assert_eq!(
            Proxies::cidrs(["10.0.0.0/8", "10.0.0.0/99"])
                .unwrap_err()
                .value(),
            "10.0.0.0/99"
        );
    }

    proptest! {
        /// Whatever a client sends, the address our proxy saw is the one recorded.
        #[test]
        fn no_header_of_the_client_beats_our_proxy(
            lie in "[ -~\t]{0,200}|[\\x80-\\xff,\"\\\\; =for.:1]{0,200}",
            own_line in any::<bool>(),
        ) {
            let lie: Vec<u8> = lie.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
            for (name, truth) in [("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "203.0.113.7")] {
                let name = HeaderName::from_static(name);
                let mut headers = HeaderMap::new();
                if own_line {
                    headers.append(&name, HeaderValue::from_bytes(&lie).unwrap());
                    headers.append(&name, HeaderValue::from_static(truth));
                } else {
                    let joined = [&lie, &b", "[..], truth.as_bytes()].concat();
                    headers.append(&name, HeaderValue::from_bytes(&joined).unwrap());
                }
                for proxies in [Proxies::hops(1), private()] {
                    let client = believe(&proxies, &headers).client.unwrap();
                    prop_assert_eq!(client.address.to_string(), "203.0.113.7");
                }
            }
        }
    }
}
