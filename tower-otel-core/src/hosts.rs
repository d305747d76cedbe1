//! A set of hosts.

use std::{net::IpAddr, sync::Arc};

use crate::{embedded_ipv4::ipv4_addresses, head::RequestHead, host_identity::HostIdentity};

/// A set of host names and IP addresses.
///
/// Default: the empty set. Ports of entries and of requests are ignored.
///
/// | entry | matches |
/// |---|---|
/// | `shop.example` | this name, case-insensitive |
/// | `*.shop.example` | every subdomain at any depth, but not `shop.example` |
/// | `127.0.0.1` | the address in any notation, such as `127.1` and `::ffff:127.0.0.1`, but not `localhost`: names are not resolved |
/// | `*` | every host |
/// | neither a name nor an address, such as a URL | no host |
///
/// [`Filter::skip_hosts`](crate::Filter::skip_hosts) skips more hosts than the set contains:
///
/// | the set contains | also skipped |
/// |---|---|
/// | a loopback address | `0.0.0.0` and `[::]`, because a connection to them reaches this machine |
/// | an IPv4 address | IPv6 addresses that embed it (NAT64, SIIT, 6to4, Teredo, ISATAP, IPv4-compatible) |
/// | an entry that is neither a name nor an address | every host |
///
/// ```
/// use tower_otel_core::Hosts;
///
/// let hosts = Hosts::new(["api.shop.example", "*.internal", "::1"]);
/// assert!(hosts.contains("API.shop.example"));
/// assert!(hosts.contains("a.b.internal"));
/// assert!(hosts.contains("[0:0:0:0:0:0:0:1]"));
/// assert!(!hosts.contains("internal"));
/// assert!(!hosts.contains("evil-api.shop.example"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hosts(HostSet);

#[derive(Clone, Debug, Default)]
enum HostSet {
    #[default]
    Empty,
    All,
    Patterns(Arc<[Pattern]>),
}

#[derive(Debug)]
enum Pattern {
    Any,
    Address(IpAddr),
    Name(String),
    /// Matches subdomains of the name instead of the name.
    Subdomains(String),
    /// A text that is neither a name nor an address.
    Invalid,
}

/// The result of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    Yes,
    No,
    /// The host is missing or invalid, an entry of the set is invalid, or the host may be the machine of an entry.
    Unknown,
}

impl Hosts {
    /// Creates a set of all hosts. It also matches requests without a host.
    pub const fn all() -> Self {
        Self(HostSet::All)
    }

    /// Creates a set of these entries. [The table](Self) lists what they match.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = names.into_iter();
        Self(HostSet::Patterns(
            names.map(|name| Pattern::new(name.as_ref())).collect(),
        ))
    }

    /// Returns `true` if the set contains the host: a name or an address without a port. An IPv6 address may be in brackets.
    /// Only [`all`](Self::all) contains other texts.
    pub fn contains(&self, host: &str) -> bool {
        self.membership(|| HostIdentity::parse(host)) == Membership::Yes
    }

    /// Returns `true` if the set contains the host of a client's request.
    ///
    /// The host is that of the request target. The `Host` header is not read: the connection does not depend on it, and a
    /// proxy may forward the header of its client.
    #[doc(hidden)]
    pub fn contains_host_of(&self, request: &dyn RequestHead) -> bool {
        self.membership_of(request) == Membership::Yes
    }

    /// Returns `true` if the set contains the host of a client's request, or may contain it.
    pub(crate) fn may_contain_host_of(&self, request: &dyn RequestHead) -> bool {
        self.membership_of(request) != Membership::No
    }

    fn membership_of(&self, request: &dyn RequestHead) -> Membership {
        let target = request.target();
        self.membership(|| HostIdentity::parse(target.host()?))
    }

    fn membership<'h>(&self, host: impl FnOnce() -> Option<HostIdentity<'h>>) -> Membership {
        let patterns = match &self.0 {
            HostSet::Empty => return Membership::No,
            HostSet::All => return Membership::Yes,
            HostSet::Patterns(patterns) => patterns,
        };
        let Some(host) = host() else {
            return Membership::Unknown;
        };
        if patterns.iter().any(|pattern| pattern.matches(host)) {
            Membership::Yes
        } else if patterns.iter().any(|pattern| pattern.may_match(host)) {
            Membership::Unknown
        } else {
            Membership::No
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let (host, has_star) = match text.strip_prefix("*.") {
            Some(host) => (host, true),
            None if text == "*" => return Self::Any,
            None => (text, false),
        };
        match HostIdentity::parse_with_port(host) {
            Some(HostIdentity::Name(name)) if has_star => Self::Subdomains(name.to_owned()),
            Some(HostIdentity::Name(name)) => Self::Name(name.to_owned()),
            Some(HostIdentity::Address(address)) if !has_star => Self::Address(address),
            _ => Self::Invalid,
        }
    }

    fn matches(&self, host: HostIdentity<'_>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Address(address), HostIdentity::Address(host)) => *address == host,
            (Self::Name(name), HostIdentity::Name(host)) => host.eq_ignore_ascii_case(name),
            (Self::Subdomains(name), HostIdentity::Name(host)) => is_subdomain(host, name),
            _ => false,
        }
    }

    /// Returns `true` if the pattern is invalid, or if a connection to the host may reach its address.
    fn may_match(&self, host: HostIdentity<'_>) -> bool {
        match (self, host) {
            (Self::Invalid, _) => true,
            (Self::Address(address), HostIdentity::Address(host)) => may_reach(host, *address),
            _ => false,
        }
    }
}

/// Returns whether a connection to a host may reach an address. An unspecified address reaches a loopback address. An IPv6
/// address reaches the IPv4 address that it embeds.
fn may_reach(host: IpAddr, address: IpAddr) -> bool {
    let is_this_machine = |host: IpAddr, address: IpAddr| {
        address == host || address.is_loopback() && host.is_unspecified()
    };
    is_this_machine(host, address)
        || ipv4_addresses(host).any(|host| {
            ipv4_addresses(address).any(|address| is_this_machine(host.into(), address.into()))
        })
}

fn is_subdomain(host: &str, name: &str) -> bool {
    let (host, name) = (host.as_bytes(), name.as_bytes());
    host.len()
        .checked_sub(name.len())
        .and_then(|at| host.split_at_checked(at))
        .is_some_and(|(subdomain, end)| {
            subdomain.len() > 1 && subdomain.ends_with(b".") && end.eq_ignore_ascii_case(name)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_matches_in_any_letter_case() {
        let hosts = Hosts::new(["api.example.", "[::1]"]);
        for host in ["api.example", "API.Example", "api.example.", "::1"] {
            assert!(hosts.contains(host), "{host}");
        }
        for host in "|.|example|x.api.example|api.example.evil|::2".split('|') {
            assert!(!hosts.contains(host), "{host}");
        }
    }

    #[test]
    fn a_star_matches_whole_labels() {
        let hosts = Hosts::new(["*.internal"]);
        assert!(hosts.contains("a.internal"));
        assert!(hosts.contains("a.b.INTERNAL."));
        for host in "internal|.internal|evilinternal|a.internal.evil|ü".split('|') {
            assert!(!hosts.contains(host), "{host}");
        }
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        for case in [
            "127.0.0.1 = 127.1 127.0.0.1. 0x7f.1 0177.0.0.1 2130706433 017700000001 ::ffff:127.0.0.1",
            "127.1 = 127.0.0.1",
            "::1 = 0:0:0:0:0:0:0:1 [::1] [0::1] ::1%lo",
            "[::1]:8080 = ::1",
            "::ffff:10.0.0.1 = 10.0.0.1 ::ffff:a00:1 10.1 ::FFFF:10.0.0.1",
            "10.0.0.1:443 = 10.0.0.1",
            "api.example:8443 = api.example",
            "* = api.example 127.0.0.1 ::1",
        ] {
            let (name, same) = case.split_once(" = ").unwrap();
            for host in same.split(' ') {
                assert!(Hosts::new([name]).contains(host), "{name} {host}");
            }
        }
        for case in
            "127.0.0.1 127.0.0.2|::1 ::2|*.0.0.1 127.0.0.1|a.1x 1x|127.0.0.1 localhost".split('|')
        {
            let (name, host) = case.split_once(' ').unwrap();
            assert!(!Hosts::new([name]).contains(host), "{case}");
        }
    }

    #[test]
    fn a_host_that_is_not_understood_may_be_in_the_set() {
        let hosts = Hosts::new(["inside"]);
        let request = |uri: &str, host: &str| {
            let mut request = http::Request::get(uri);
            for host in host.split_whitespace() {
                request = request.header("host", host);
            }
            request.body(()).unwrap()
        };
        for (uri, host) in [
            ("/", ""),
            ("/", "inside"),
            ("/", "outside"),
            ("http://outside:99999/", ""),
            ("http://outside:0/", ""),
            ("http://[fe80::1%25eth0]/", ""),
            ("http://256.1.1.1/", ""),
            ("http://1.2.3.4.5/", ""),
            ("http://08.1.1.1/", ""),
            ("http://out%73ide/", ""),
        ] {
            let Ok(uri) = uri.parse::<http::Uri>() else {
                continue;
            };
            let request = request(&uri.to_string(), host);
            assert!(hosts.may_contain_host_of(&request), "{uri} {host:?}");
            assert!(!hosts.contains_host_of(&request), "{uri} {host:?}");
            assert!(!Hosts::default().may_contain_host_of(&request));
        }
        let outside = request("http://outside/", "");
        assert!(!hosts.may_contain_host_of(&outside));
        for name in [
            "",
            "https://inside/",
            "a b",
            "10.0.0.0/8",
            "*.",
            "*.10.0.0.1",
        ] {
            let hosts = Hosts::new([name, "inside"]);
            assert!(hosts.may_contain_host_of(&outside), "{name}");
            assert!(
                !hosts.contains("outside") && hosts.contains("inside"),
                "{name}"
            );
        }
    }

    #[test]
    fn an_address_that_embeds_an_ipv4_address_may_be_that_address() {
        for case in [
            // NAT64, with the well-known prefix and with prefixes for local use.
            "10.0.0.1 = [64:ff9b::a00:1] [64:ff9b::10.0.0.1] [64:ff9b:1::a00:1] [64:ff9b:1:fffe::10.0.0.1]",
            "10.1.2.3 = [64:ff9b:1:a01:2:300::] [64:ff9b:1:a:1:203::] [64:ff9b:1:0:a:102:300:0]",
            "10.0.0.1 = [2002:a00:1::1] [2002:a00:1::] [2002:a00:1:7::7]",
            "10.0.0.1 = [::10.0.0.1] [::a00:1]",
            "[64:ff9b::a00:1] = 10.0.0.1 [2002:a00:1::1] [::ffff:10.0.0.1]",
            "10.0.0.1 = [::ffff:0:10.0.0.1] [2001:0:1:2::f5ff:fffe] [2001:0:a00:1::1] [fe80::5efe:10.0.0.1]",
            "10.0.0.1 = [2001:db8::5efe:a00:1] [2001:db8::200:5efe:a00:1] [2002:1:1::5efe:a00:1]",
            "127.0.0.1 = [64:ff9b::7f00:1] [64:ff9b::] [2002::1] [::127.0.0.1]",
        ] {
            let (name, same) = case.split_once(" = ").unwrap();
            let hosts = Hosts::new([name]);
            for host in same.split(' ') {
                let uri = format!("http://{host}/");
                let request = http::Request::get(uri).body(()).unwrap();
                assert!(hosts.may_contain_host_of(&request), "{name} {host}");
                assert!(!hosts.contains_host_of(&request), "{name} {host}");
            }
        }
        let hosts = Hosts::new(["10.0.0.1", "0.0.0.1"]);
        for host in [
            "[64:ff9b::a00:2]",
            "[2002:a00:2::1]",
            "[2001:db8::a00:1]",
            "[2001:0:1:2::a00:1]",
            "[2001:db8::5efe:a00:2]",
            "[::1]",
            "[::a00:2]",
        ] {
            let request = http::Request::get(format!("http://{host}/"))
                .body(())
                .unwrap();
            assert!(!hosts.may_contain_host_of(&request), "{host}");
        }
    }

    #[test]
    fn an_unspecified_address_may_be_a_loopback_address() {
        for (name, host, may_match) in [
            ("127.0.0.1", "0.0.0.0", true),
            ("127.0.0.1", "0", true),
            ("127.0.0.1", "[::]", true),
            ("[::1]", "[::]", true),
            ("10.0.0.1", "0.0.0.0", false),
            ("127.0.0.1", "127.0.0.2", false),
        ] {
            let hosts = Hosts::new([name]);
            let uri = format!("http://{host}/");
            let request = http::Request::get(uri).body(()).unwrap();
            assert_eq!(hosts.may_contain_host_of(&request), may_match, "{host}");
            assert!(!hosts.contains_host_of(&request), "{host}");
        }
    }

    #[test]
    fn a_host_with_a_port_is_not_contained() {
        assert!(!Hosts::new(["a"]).contains("a:443"));
        assert!(Hosts::new(["a:80"]).contains("a"));
    }

    #[test]
    fn the_default_matches_nothing_and_all_matches_everything() {
        let without_host = http::Request::get("/users").body(()).unwrap();
        let none = Hosts::default();
        assert!(!none.contains("") && !none.contains("a"));
        assert!(!none.contains_host_of(&without_host));
        assert!(Hosts::all().contains("a") && Hosts::all().contains_host_of(&without_host));
        assert!(
            !Hosts::new(["a"]).contains_host_of(&without_host),
            "the request has no host"
        );
    }

    #[test]
    fn the_host_header_does_not_decide() {
        let hosts = Hosts::new(["inside"]);
        let request = |uri: &str, host: &str| {
            let request = http::Request::get(uri).header("host", host);
            request.body(()).unwrap()
        };
        assert!(hosts.contains_host_of(&request("http://inside:8080/", "outside")));
        assert!(!hosts.contains_host_of(&request("http://outside/", "inside")));
        assert!(!hosts.contains_host_of(&request("http://inside@outside/", "inside")));
        assert!(!hosts.may_contain_host_of(&request("http://outside/", "inside")));
        for host in ["inside:8080", "outside"] {
            assert!(!hosts.contains_host_of(&request("/", host)), "{host}");
            assert!(hosts.may_contain_host_of(&request("/", host)), "{host}");
        }
    }
}
