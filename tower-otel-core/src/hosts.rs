//! A set of hosts, to be told apart from all others.

use std::{fmt, sync::Arc};

use crate::RequestHead;
use tower_otel_semconv as semconv;

/// Names of hosts: those one trusts, or those one does not.
///
/// Ports do not matter, nor does the case of letters. A name stands for itself, `*.shop.example`
/// for everything below `shop.example`, at any depth and without `shop.example` itself. The default
/// is the empty set.
///
/// ```
/// use tower_otel_core::Hosts;
///
/// let ours = Hosts::new(["api.shop.example", "*.internal", "::1"]);
/// assert!(ours.contains("API.shop.example"));
/// assert!(ours.contains("a.b.internal"));
/// assert!(!ours.contains("internal"));
/// assert!(!ours.contains("evil-api.shop.example"));
/// ```
#[derive(Clone, Default)]
pub struct Hosts(Set);

#[derive(Clone, Default)]
enum Set {
    #[default]
    Empty,
    All,
    Of(Arc<[Pattern]>),
}

#[derive(Debug)]
struct Pattern {
    name: String,
    below: bool,
}

impl Hosts {
    /// No host at all.
    pub const fn none() -> Self {
        Self(Set::Empty)
    }

    /// Every host, and requests that name none.
    pub const fn all() -> Self {
        Self(Set::All)
    }

    /// These hosts.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = names.into_iter();
        Self(Set::Of(
            names.map(|name| Pattern::new(name.as_ref())).collect(),
        ))
    }

    /// Whether the host is one of them. An IPv6 address has no brackets here.
    pub fn contains(&self, host: &str) -> bool {
        match &self.0 {
            Set::Empty => false,
            Set::All => true,
            Set::Of(patterns) => {
                let host = host.strip_suffix('.').unwrap_or(host);
                patterns.iter().any(|pattern| pattern.matches(host))
            }
        }
    }

    /// Whether the host that a client's request goes to is one of them: the one its target names,
    /// else its `Host` header.
    pub fn receive(&self, request: &dyn RequestHead) -> bool {
        match &self.0 {
            Set::Empty => false,
            Set::All => true,
            Set::Of(_) => semconv::server::on_client(&request.target(), request.headers())
                .is_some_and(|server| self.contains(server.host)),
        }
    }
}

impl Pattern {
    fn new(name: &str) -> Self {
        let (name, below) = match name.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = name.strip_prefix('[').unwrap_or(name);
        let name = name.strip_suffix(']').unwrap_or(name);
        Self {
            name: name.to_owned(),
            below,
        }
    }

    fn matches(&self, host: &str) -> bool {
        if !self.below {
            return host.eq_ignore_ascii_case(&self.name);
        }
        let (host, name) = (host.as_bytes(), self.name.as_bytes());
        host.len()
            .checked_sub(name.len())
            .and_then(|at| host.split_at_checked(at))
            .is_some_and(|(above, end)| {
                above.len() > 1 && above.ends_with(b".") && end.eq_ignore_ascii_case(name)
            })
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Set::Empty => f.write_str("Hosts::none"),
            Set::All => f.write_str("Hosts::all"),
            Set::Of(patterns) => f.debug_tuple("Hosts").field(patterns).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_stands_for_itself_in_any_spelling() {
        let hosts = Hosts::new(["api.example.", "[::1]"]);
        for host in ["api.example", "API.Example", "api.example.", "::1"] {
            assert!(hosts.contains(host), "{host}");
        }
        for host in [
            "",
            ".",
            "example",
            "x.api.example",
            "api.example.evil",
            "::2",
        ] {
            assert!(!hosts.contains(host), "{host}");
        }
    }

    #[test]
    fn a_star_stands_for_whole_labels() {
        let hosts = Hosts::new(["*.internal"]);
        assert!(hosts.contains("a.internal"));
        assert!(hosts.contains("a.b.INTERNAL."));
        for host in [
            "internal",
            ".internal",
            "evilinternal",
            "a.internal.evil",
            "ü",
        ] {
            assert!(!hosts.contains(host), "{host}");
        }
    }

    #[test]
    fn none_is_nothing_and_all_is_everything() {
        let nowhere = http::Request::get("/users").body(()).unwrap();
        assert!(!Hosts::none().contains("a") && !Hosts::none().receive(&nowhere));
        assert!(Hosts::all().contains("a") && Hosts::all().receive(&nowhere));
        assert!(!Hosts::new(["a"]).receive(&nowhere), "it names no host");
        assert!(!Hosts::default().contains(""));
    }

    #[test]
    fn the_target_is_asked_before_the_host_header() {
        let hosts = Hosts::new(["inside"]);
        let request = |uri: &str, host: &str| {
            let request = http::Request::get(uri).header("host", host);
            request.body(()).unwrap()
        };
        assert!(hosts.receive(&request("http://inside:8080/", "outside")));
        assert!(!hosts.receive(&request("http://outside/", "inside")));
        assert!(!hosts.receive(&request("http://inside@outside/", "inside")));
        assert!(hosts.receive(&request("/", "inside:8080")));
    }
}
