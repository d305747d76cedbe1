//! The trusted proxies of a server, and the client, scheme and host that they forward.
//!
//! A client can send any `X-Forwarded-For` header. Each proxy appends its entry at the end, so only the entries of trusted
//! proxies are used. The hops are examined from the peer of the connection towards the client. The first hop that is not
//! trusted is the client. Entries beyond it are ignored.
//!
//! See [HTTP server spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span).

use http::HeaderMap;

use crate::cidr::InvalidCidr;
use crate::endpoint::Endpoint;
use crate::forwarded::Forwarded;
use crate::forwarded_element::Node;
use crate::forwarded_view::ForwardedView;
use crate::proxy_headers::{has_forwarded, has_x_forwarded};
use crate::proxy_trust::ProxyTrust;

/// The proxies in front of a server whose forwarded headers are trusted.
///
/// Default: no proxy is trusted. Forwarded headers are then ignored, because any client can send them.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use std::net::SocketAddr;
/// use tower_otel_semconv::TrustedProxies;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.7, 10.0.0.2"));
/// let peer = "10.0.0.1:4711".parse::<SocketAddr>()?;
/// let client = |proxies: TrustedProxies| {
///     proxies.resolve(&headers, Some(peer.into())).client.map(|client| client.address.to_string())
/// };
///
/// assert_eq!(client(TrustedProxies::default()).as_deref(), Some("10.0.0.1"));
/// assert_eq!(client(TrustedProxies::hops(2)).as_deref(), Some("203.0.113.7"));
/// assert_eq!(client(TrustedProxies::cidrs(["10.0.0.0/8"])?).as_deref(), Some("203.0.113.7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    trust: ProxyTrust,
    headers: ForwardedHeaders,
}

/// The header family that the trusted proxies write.
///
/// Default: [`Both`](Self::Both).
///
/// A proxy that writes one family may forward the other family as the client wrote it. With [`Both`](Self::Both), a
/// client can then remove its address, scheme and host from the telemetry, but it cannot forge other values. To prevent
/// this, set the family. Also set it if the proxy writes different values into both families.
///
/// `X-Forwarded-Proto` and `X-Forwarded-Host` do not identify the proxy that wrote them. If a trusted proxy appends to
/// `X-Forwarded-For` but forwards these two unchanged, the client's own values are recorded as scheme and host. Configure the
/// proxy to overwrite them, or use [`Forwarded`](Self::Forwarded): one proxy writes all values of an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// Both families are read. If a request has headers of both, a value is used only if it is equal in both, because the client
    /// may have written one of them.
    #[default]
    Both,
    /// Only `Forwarded` (RFC 7239) is read.
    Forwarded,
    /// Only `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are read.
    XForwarded,
}

impl TrustedProxies {
    /// Trusts the `n` nearest hops, regardless of their addresses. The peer is the first hop. `hops(0)` trusts none.
    ///
    /// Use it only if clients cannot bypass the proxies and every proxy appends its entry.
    #[must_use]
    pub fn hops(n: usize) -> Self {
        Self {
            trust: ProxyTrust::Hops(n),
            ..Self::default()
        }
    }

    /// Trusts hops with an address in one of these ranges, such as `10.0.0.0/8` or `2001:db8::1`.
    ///
    /// If the address of the peer is unknown, forwarded headers are ignored.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCidr`] for the first invalid range.
    pub fn cidrs<I>(ranges: I) -> Result<Self, InvalidCidr>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let ranges = ranges
            .into_iter()
            .map(|range| range.as_ref().parse())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            trust: ProxyTrust::Cidrs(ranges),
            ..Self::default()
        })
    }

    /// Trusts every hop, including the client. Use it only in a private network.
    #[must_use]
    pub fn all() -> Self {
        Self {
            trust: ProxyTrust::All,
            ..Self::default()
        }
    }

    /// Sets the headers that the proxies write. Default: [`ForwardedHeaders::Both`].
    #[must_use]
    pub fn headers(self, headers: ForwardedHeaders) -> Self {
        Self { headers, ..self }
    }

    /// Returns the client, scheme and host of a request received from `peer`. [`Forwarded`] describes its fields.
    ///
    /// Scheme and host are from the trusted hop nearest to the client. The number of trusted hops limits the number of
    /// entries that are read from `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[must_use]
    pub fn resolve<'h>(&self, headers: &'h HeaderMap, peer: Option<Endpoint>) -> Forwarded<'h> {
        if !self.trust.trusts(0, peer) {
            return Forwarded {
                client: peer,
                proto: None,
                host: None,
            };
        }
        let forwarded = || ForwardedView::from_forwarded(&self.trust, headers);
        let x_forwarded = || ForwardedView::from_x_forwarded(&self.trust, headers);
        let view = match self.headers {
            ForwardedHeaders::Forwarded => forwarded(),
            ForwardedHeaders::XForwarded => x_forwarded(),
            ForwardedHeaders::Both if !has_forwarded(headers) => x_forwarded(),
            ForwardedHeaders::Both if !has_x_forwarded(headers) => forwarded(),
            ForwardedHeaders::Both => forwarded().in_common_with(x_forwarded()),
        };
        Forwarded {
            client: view.client.map_or(peer, Node::endpoint),
            proto: view.proto,
            host: view.host,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn peer() -> Endpoint {
        Endpoint::from(SocketAddr::from(([10, 0, 0, 1], 0)))
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        lines.iter().map(line).collect()
    }

    fn resolve<'h>(proxies: &TrustedProxies, headers: &'h HeaderMap) -> Forwarded<'h> {
        proxies.resolve(headers, Some(peer()))
    }

    fn client(proxies: &TrustedProxies, lines: &[(&'static str, &str)]) -> String {
        let client = resolve(proxies, &headers(lines)).client;
        client.map_or("none".to_owned(), |client| client.address.to_string())
    }

    fn private() -> TrustedProxies {
        TrustedProxies::cidrs(["10.0.0.0/8", "fd00::/8"]).unwrap()
    }

    #[test]
    fn no_header_is_trusted_by_default() {
        let headers = headers(&[
            ("forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
        ]);
        for proxies in [
            TrustedProxies::default(),
            TrustedProxies::hops(0),
            TrustedProxies::cidrs(["192.0.2.0/24"]).unwrap(),
        ] {
            let only_peer = Forwarded {
                client: Some(peer()),
                proto: None,
                host: None,
            };
            assert_eq!(resolve(&proxies, &headers), only_peer, "{proxies:?}");
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
            assert_eq!(client(&private(), &lines), "203.0.113.7");
            assert_eq!(client(&TrustedProxies::hops(2), &lines), "203.0.113.7");
            assert_eq!(client(&TrustedProxies::hops(1), &lines), "10.0.0.2");
            assert_eq!(client(&TrustedProxies::all(), &lines), "6.6.6.6");
        }
    }

    #[test]
    fn if_every_hop_is_trusted_the_farthest_is_the_client() {
        let lines = [("x-forwarded-for", "10.0.0.9, fd00::2")];
        assert_eq!(client(&private(), &lines), "10.0.0.9");
        assert_eq!(client(&TrustedProxies::hops(9), &lines), "10.0.0.9");
        assert_eq!(client(&private(), &[]), "10.0.0.1");
    }

    #[test]
    fn an_ipv4_mapped_address_is_recognised() {
        let mapped = "[::ffff:10.0.0.1]:0".parse::<SocketAddr>().unwrap();
        let headers = headers(&[(
            "x-forwarded-for",
            "6.6.6.6, ::ffff:203.0.113.7, ::ffff:10.0.0.2",
        )]);
        let forwarded = private().resolve(&headers, Some(mapped.into()));
        assert_eq!(forwarded.client.unwrap().address.to_string(), "203.0.113.7");
    }

    #[test]
    fn a_client_hidden_by_a_trusted_proxy_is_none() {
        for lines in [
            [("forwarded", "for=6.6.6.6, for=unknown")],
            [("forwarded", "for=6.6.6.6, for=_x;proto=https")],
            [("forwarded", "for=6.6.6.6, for=")],
            [("x-forwarded-for", "6.6.6.6, unknown")],
        ] {
            assert_eq!(client(&private(), &lines), "none", "{lines:?}");
        }
    }

    #[test]
    fn without_a_peer_only_hops_are_trusted() {
        let headers = headers(&[("x-forwarded-for", "203.0.113.7")]);
        assert_eq!(private().resolve(&headers, None), Forwarded::default());
        let client = TrustedProxies::hops(1).resolve(&headers, None).client;
        assert!(client.is_some());
    }

    #[test]
    fn scheme_and_host_are_those_of_the_farthest_trusted_proxy() {
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
            for proxies in [private(), TrustedProxies::hops(2)] {
                let forwarded = resolve(&proxies, &headers);
                assert_eq!(forwarded.proto, Some("https"));
                assert_eq!(forwarded.host.as_deref(), Some("api.example:8443"));
            }
            assert_eq!(
                resolve(&TrustedProxies::hops(1), &headers).proto,
                Some("http")
            );
        }
    }

    #[test]
    fn a_single_scheme_applies_to_all_trusted_hops() {
        let headers = headers(&[
            ("x-forwarded-for", "203.0.113.7, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(resolve(&private(), &headers).proto, Some("https"));
        assert_eq!(
            resolve(&TrustedProxies::hops(2), &headers).proto,
            Some("https")
        );
    }

    #[test]
    fn a_client_writes_scheme_and_host_only_if_a_trusted_proxy_passes_them_on() {
        let passed_on = headers(&[
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "wss"),
            ("x-forwarded-host", "forged.example"),
        ]);
        let appended = headers(&[
            ("x-forwarded-for", "10.6.6.6, 203.0.113.7"),
            ("x-forwarded-proto", "wss, https"),
            ("x-forwarded-host", "forged.example, api.example"),
        ]);
        for proxies in [private(), TrustedProxies::hops(1)] {
            let forwarded = resolve(&proxies, &passed_on);
            assert_eq!(forwarded.proto, Some("wss"));
            assert_eq!(forwarded.host.as_deref(), Some("forged.example"));
            let forwarded = resolve(&proxies, &appended);
            assert_eq!(forwarded.proto, Some("https"));
            assert_eq!(forwarded.host.as_deref(), Some("api.example"));
            let elements = proxies.headers(ForwardedHeaders::Forwarded);
            let forwarded = resolve(&elements, &passed_on);
            assert_eq!((forwarded.proto, forwarded.host), (None, None));
        }
    }

    #[test]
    fn an_unknown_scheme_or_invalid_host_is_none() {
        let headers = headers(&[
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "user:pass@a"),
        ]);
        let forwarded = resolve(&TrustedProxies::all(), &headers);
        assert_eq!((forwarded.proto, forwarded.host), (None, None));
    }

    #[test]
    fn headers_that_contradict_each_other_are_ignored() {
        let lines = [
            ("forwarded", "for=6.6.6.6;proto=http;host=evil.example"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example"),
        ];
        let headers = headers(&lines);
        let both = TrustedProxies::hops(1);
        assert_eq!(resolve(&both, &headers), Forwarded::default());

        let one = resolve(
            &both.clone().headers(ForwardedHeaders::XForwarded),
            &headers,
        );
        assert_eq!(one.client.unwrap().address.to_string(), "203.0.113.7");
        assert_eq!(
            (one.proto, one.host.as_deref()),
            (Some("https"), Some("api.example"))
        );

        let one = resolve(&both.headers(ForwardedHeaders::Forwarded), &headers);
        assert_eq!(one.client.unwrap().address.to_string(), "6.6.6.6");
    }

    #[test]
    fn a_client_cannot_forge_what_the_proxy_writes_in_the_other_family() {
        let forged = "for=203.0.113.7;proto=wss;host=forged.example";
        for lines in [
            &[("x-forwarded-for", "203.0.113.7"), ("forwarded", forged)][..],
            &[
                ("x-forwarded-for", "203.0.113.7"),
                ("forwarded", "proto=wss;host=forged.example"),
            ],
            &[
                ("x-forwarded-for", "203.0.113.7"),
                ("x-forwarded-proto", "gopher"),
                ("forwarded", forged),
            ],
            &[
                ("forwarded", "for=203.0.113.7"),
                ("x-forwarded-for", "203.0.113.7"),
                ("x-forwarded-proto", "wss"),
                ("x-forwarded-host", "forged.example"),
            ],
            &[
                ("forwarded", "for=203.0.113.7"),
                ("x-forwarded-host", "forged.example"),
            ],
            &[
                ("forwarded", "proto=https"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-proto", "wss"),
            ],
        ] {
            let headers = headers(lines);
            for proxies in [TrustedProxies::hops(1), private()] {
                let forwarded = resolve(&proxies, &headers);
                assert_eq!((forwarded.proto, forwarded.host), (None, None), "{lines:?}");
                let client = forwarded.client.map(|client| client.address.to_string());
                assert!(
                    client.is_none_or(|client| client == "203.0.113.7"),
                    "{lines:?}"
                );
            }
        }
    }

    #[test]
    fn headers_that_agree_are_merged() {
        let headers = headers(&[
            (
                "forwarded",
                "for=\"203.0.113.7:4711\";proto=https;host=API.example",
            ),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example"),
        ]);
        let forwarded = resolve(&TrustedProxies::hops(1), &headers);
        assert_eq!(forwarded.client.unwrap().port, Some(4711));
        assert_eq!(
            (forwarded.proto, forwarded.host.as_deref()),
            (Some("https"), Some("API.example"))
        );
    }

    #[test]
    fn too_many_entries_do_not_hide_the_client() {
        let flood = format!("{}203.0.113.7", "10.9.9.9, ".repeat(5000));
        assert_eq!(
            client(&private(), &[("x-forwarded-for", &flood)]),
            "203.0.113.7"
        );
        assert_eq!(
            client(&TrustedProxies::all(), &[("x-forwarded-for", &flood)]),
            "none"
        );
    }

    #[test]
    fn an_invalid_range_is_an_error() {
        let error = TrustedProxies::cidrs(["10.0.0.0/8", "10.0.0.0/99"]).unwrap_err();
        assert!(error.to_string().starts_with("\"10.0.0.0/99\" "));
    }

    proptest! {
        /// The recorded address is the one that the trusted proxy received, regardless of the headers of the client.
        #[test]
        fn the_client_cannot_override_a_trusted_proxy(
            forged in "[ -~\t]{0,200}|[\\x80-\\xff,\"\\\\; =for.:1]{0,200}",
            own_line in any::<bool>(),
        ) {
            let forged: Vec<u8> = forged.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
            for (name, truth) in [("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "203.0.113.7")] {
                let name = HeaderName::from_static(name);
                let mut headers = HeaderMap::new();
                if own_line {
                    headers.append(&name, HeaderValue::from_bytes(&forged).unwrap());
                    headers.append(&name, HeaderValue::from_static(truth));
                } else {
                    let joined = [&forged, &b", "[..], truth.as_bytes()].concat();
                    headers.append(&name, HeaderValue::from_bytes(&joined).unwrap());
                }
                for proxies in [TrustedProxies::hops(1), private()] {
                    let client = resolve(&proxies, &headers).client.unwrap();
                    prop_assert_eq!(client.address.to_string(), "203.0.113.7");
                }
            }
        }
    }
}
