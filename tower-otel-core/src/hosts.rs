//! A set of hosts.

use std::sync::Arc;

use crate::head::RequestHead;
use tower_otel_semconv as semconv;

/// A set of host names and IP addresses.
///
/// Ports are ignored, and names are case-insensitive. A name matches itself. `*.shop.example` matches every subdomain
/// of `shop.example`, at any depth, but not `shop.example` itself. Default: the empty set.
///
/// ```
/// use tower_otel_core::Hosts;
///
/// let hosts = Hosts::new(["api.shop.example", "*.internal", "::1"]);
/// assert!(hosts.contains("API.shop.example"));
/// assert!(hosts.contains("a.b.internal"));
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
struct Pattern {
    name: String,
    /// Whether the pattern matches subdomains of the name instead of the name.
    subdomains: bool,
}

impl Hosts {
    /// Creates an empty set.
    #[doc(hidden)]
    pub const fn none() -> Self {
        Self(HostSet::Empty)
    }

    /// Creates a set of all hosts. It also matches requests without a host.
    pub const fn all() -> Self {
        Self(HostSet::All)
    }

    /// Creates a set of these hosts. `*.` before a name matches its subdomains.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = names.into_iter();
        Self(HostSet::Patterns(
            names.map(|name| Pattern::new(name.as_ref())).collect(),
        ))
    }

    /// Returns `true` if the set contains the host. An IPv6 address is written without brackets.
    pub fn contains(&self, host: &str) -> bool {
        match &self.0 {
            HostSet::Empty => false,
            HostSet::All => true,
            HostSet::Patterns(patterns) => {
                let host = host.strip_suffix('.').unwrap_or(host);
                patterns.iter().any(|pattern| pattern.matches(host))
            }
        }
    }

    /// Returns `true` if the set contains the host of a client's request.
    ///
    /// The host is that of the request's target, else that of its `Host` header.
    #[doc(hidden)]
    pub fn contains_host_of(&self, request: &dyn RequestHead) -> bool {
        match &self.0 {
            HostSet::Empty => false,
            HostSet::All => true,
            HostSet::Patterns(_) => {
                let host = || semconv::single_header(request.headers(), &http::header::HOST);
                semconv::server::on_client(&request.target(), host)
                    .is_some_and(|server| self.contains(server.host))
            }
        }
    }
}

impl Pattern {
    fn new(name: &str) -> Self {
        let (name, subdomains) = match name.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = name.strip_prefix('[').unwrap_or(name);
        let name = name.strip_suffix(']').unwrap_or(name);
        Self {
            name: name.to_owned(),
            subdomains,
        }
    }

    fn matches(&self, host: &str) -> bool {
        if !self.subdomains {
            return host.eq_ignore_ascii_case(&self.name);
        }
        let (host, name) = (host.as_bytes(), self.name.as_bytes());
        host.len()
            .checked_sub(name.len())
            .and_then(|at| host.split_at_checked(at))
            .is_some_and(|(subdomain, end)| {
                subdomain.len() > 1 && subdomain.ends_with(b".") && end.eq_ignore_ascii_case(name)
            })
    }
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
    fn none_matches_nothing_and_all_matches_everything() {
        let without_host = http::Request::get("/users").body(()).unwrap();
        assert!(!Hosts::none().contains("a") && !Hosts::none().contains_host_of(&without_host));
        assert!(Hosts::all().contains("a") && Hosts::all().contains_host_of(&without_host));
        assert!(
            !Hosts::new(["a"]).contains_host_of(&without_host),
            "the request has no host"
        );
        assert!(!Hosts::default().contains(""));
    }

    #[test]
    fn the_target_precedes_the_host_header() {
        let hosts = Hosts::new(["inside"]);
        let request = |uri: &str, host: &str| {
            let request = http::Request::get(uri).header("host", host);
            request.body(()).unwrap()
        };
        assert!(hosts.contains_host_of(&request("http://inside:8080/", "outside")));
        assert!(!hosts.contains_host_of(&request("http://outside/", "inside")));
        assert!(!hosts.contains_host_of(&request("http://inside@outside/", "inside")));
        assert!(hosts.contains_host_of(&request("/", "inside:8080")));
    }
}
