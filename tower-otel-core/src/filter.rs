//! The filter that selects which requests are observed.

use std::{fmt, sync::Arc};

use crate::{head::RequestHead, hosts::Hosts, route::Route};

/// Selects the requests that a layer observes. Default: all requests.
///
/// A request that is not selected reaches the inner service, but is neither recorded nor counted. `TraceLayer::server()`
/// still passes its trace context to outgoing requests. `PropagateLayer` has a filter of its own: it writes no headers into a
/// request that this filter does not select.
///
/// ```
/// use tower_otel_core::Filter;
///
/// let filter = Filter::skip_paths(["/healthz", "/metrics"]);
/// let health = http::Request::get("/healthz/live").body(()).unwrap();
/// let user = http::Request::get("/users/7").body(()).unwrap();
/// assert!(!filter.observes(&health));
/// assert!(filter.observes(&user));
///
/// let no_preflight = Filter::new(|request| request.method() != http::Method::OPTIONS);
/// assert!(no_preflight.observes(&user));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<Predicate>);

#[derive(Clone)]
struct Predicate(Arc<PredicateFn>);

type PredicateFn = dyn Fn(&dyn RequestHead) -> bool + Send + Sync;

impl Filter {
    /// Selects the requests for which the predicate returns `true`.
    pub fn new(observes: impl Fn(&dyn RequestHead) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Predicate(Arc::new(observes))))
    }

    /// Selects all requests except those to these paths and their subpaths. Paths are case-sensitive.
    ///
    /// `/health` skips `/health/live`, but not `/healthy`. A subpath with a segment `.` or `..` is not skipped, even if it is
    /// percent-encoded, because `/health/../users` may be served as `/users`. The path is the one that the layer receives:
    /// inside a nested router it lacks the prefix of that router.
    pub fn skip_paths(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
        Self::new(move |request| {
            let path = request.target().path;
            !paths.iter().any(|skipped| {
                path.strip_prefix(skipped.as_str()).is_some_and(|subpath| {
                    (subpath.is_empty() || subpath.starts_with('/') || skipped.ends_with('/'))
                        && !has_dot_segment(subpath)
                })
            })
        })
    }

    /// Selects all requests except those to these routes, such as `/users/{id}`.
    ///
    /// The route is a [`Route`] in the extensions of the request, or axum's `MatchedPath` (feature `axum`). The function of
    /// [`HttpOptions::route`](crate::HttpOptions::route) is not called. A request whose route is not known when it arrives is
    /// not skipped.
    pub fn skip_routes(routes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let routes: Vec<String> = routes.into_iter().map(Into::into).collect();
        Self::new(move |request| {
            request
                .extensions()
                .and_then(Route::matched)
                .is_none_or(|matched| !routes.iter().any(|skipped| matched.as_str() == skipped))
        })
    }

    /// Selects a client's requests to these hosts.
    ///
    /// The host is that of the request target. A request whose target has no host is selected only by [`Hosts::all`]. The `Host`
    /// header is not read, because it does not decide where a request is sent.
    pub fn only_hosts(hosts: Hosts) -> Self {
        Self::new(move |request| hosts.contains_host_of(request))
    }

    /// Selects a client's requests to all hosts except these.
    ///
    /// A request is also skipped if its target has no host or an invalid one, or an IPv6 address that embeds an address of
    /// the set: it may be sent to one of these hosts. See [`Hosts`].
    pub fn skip_hosts(hosts: Hosts) -> Self {
        Self::new(move |request| !hosts.may_contain_host_of(request))
    }

    /// Returns whether the filter has a predicate.
    pub(crate) const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Returns `true` if the request is selected.
    pub fn observes(&self, request: &dyn RequestHead) -> bool {
        match &self.0 {
            None => true,
            Some(Predicate(observes)) => observes(request),
        }
    }
}

/// Returns whether a path has a segment `.` or `..`, before or after decoding. Backslashes also separate segments.
fn has_dot_segment(path: &str) -> bool {
    let is_dot_segment = |dots| matches!(dots, Some(1 | 2));
    let mut remaining = path.as_bytes();
    // The number of dots of the current segment; `None` if it has other characters.
    let mut dots = Some(0_usize);
    loop {
        let (byte, tail) = match remaining {
            [] => return is_dot_segment(dots),
            [b'%', b'2', b'e' | b'E', tail @ ..] => (b'.', tail),
            [b'%', b'2', b'f' | b'F', tail @ ..]
            | [b'%', b'5', b'c' | b'C', tail @ ..]
            | [b'\\', tail @ ..] => (b'/', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        remaining = tail;
        match byte {
            b'/' if is_dot_segment(dots) => return true,
            b'/' => dots = Some(0),
            b'.' => dots = dots.map(|dots| dots + 1),
            _ => dots = None,
        }
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn observes(filter: &Filter, path: &str) -> bool {
        filter.observes(&http::Request::get(path).body(()).unwrap())
    }

    #[test]
    fn a_skipped_path_includes_its_subpaths_only() {
        let filter = Filter::skip_paths(["/health", "/internal/"]);
        assert!(!observes(&filter, "/health"));
        assert!(!observes(&filter, "/health?deep=1"));
        assert!(!observes(&filter, "/health/live"));
        assert!(!observes(&filter, "/internal/x"));
        assert!(observes(&filter, "/healthy"));
        assert!(observes(&filter, "/internal"));
        assert!(observes(&filter, "/"));
    }

    #[test]
    fn a_path_with_dot_segments_is_not_skipped() {
        let filter = Filter::skip_paths(["/health", "/internal/", "/a/../b"]);
        for path in [
            "/health/../admin",
            "/health/..",
            "/health/.",
            "/health/./live",
            "/health/x/%2e%2E/../admin",
            "/health/%2e./admin",
            "/health/.%2E/admin",
            "/health/..%2fadmin",
            "/health/x%2F..%2Fadmin",
            "/health/..%5cadmin",
            "/health/..\\admin",
            "/internal/../admin",
            "/internal/..",
        ] {
            assert!(observes(&filter, path), "{path}");
        }
        for path in [
            "/health/...",
            "/health/.x",
            "/health/x..",
            "/health/..x/y.",
            "/health/%2e%2e%2e",
            "/health/live?../..",
            "/internal/.well-known",
            // It is in the list.
            "/a/../b",
        ] {
            assert!(!observes(&filter, path), "{path}");
        }
    }

    #[test]
    fn hosts_are_selected_or_skipped() {
        let hosts = Hosts::new(["listed.example"]);
        let (only, skip) = (Filter::only_hosts(hosts.clone()), Filter::skip_hosts(hosts));
        for (target, is_listed) in [
            ("https://listed.example/", true),
            ("https://other.example/?listed.example", false),
        ] {
            assert_eq!(observes(&only, target), is_listed, "{target}");
            assert_eq!(observes(&skip, target), !is_listed, "{target}");
        }
    }

    #[test]
    fn a_request_whose_host_is_not_understood_is_skipped() {
        let hosts = Hosts::new(["listed.example"]);
        let (only, skip) = (Filter::only_hosts(hosts.clone()), Filter::skip_hosts(hosts));
        for target in ["/", "https://other.example:99999/", "https://1.2.3.256/"] {
            assert!(!observes(&only, target), "{target}");
            assert!(!observes(&skip, target), "{target}");
            assert!(observes(&Filter::skip_hosts(Hosts::default()), target));
        }
    }

    #[test]
    fn a_skipped_address_is_skipped_in_every_form() {
        let skip = Filter::skip_hosts(Hosts::new(["127.0.0.1", "::1", "10.0.0.1"]));
        for target in [
            "http://[0:0:0:0:0:0:0:1]/",
            "http://127.1/",
            "http://[::ffff:10.0.0.1]/",
            "http://10.0.0.1.:80/",
        ] {
            assert!(!observes(&skip, target), "{target}");
        }
        assert!(observes(&skip, "http://10.0.0.2/"));
    }

    #[test]
    fn every_request_is_selected_by_default() {
        assert!(observes(&Filter::default(), "/health"));
    }
}
