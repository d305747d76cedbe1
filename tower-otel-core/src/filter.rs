//! The filter that selects which requests are observed.

use std::{fmt, sync::Arc};

use crate::{head::RequestHead, hosts::Hosts, route::Route};

/// Selects the requests that a layer observes.
///
/// A request that is filtered out reaches the inner service unchanged. The context it carries is still propagated to
/// outgoing requests.
///
/// ```
/// use tower_otel_core::Filter;
///
/// let filter = Filter::skip_paths(["/healthz", "/metrics"]);
/// let health = http::Request::get("/healthz/live").body(()).unwrap();
/// let user = http::Request::get("/users/7").body(()).unwrap();
/// assert!(!filter.observes(&health));
/// assert!(filter.observes(&user));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<Predicate>);

#[derive(Clone)]
struct Predicate(Arc<PredicateFn>);

type PredicateFn = dyn Fn(&dyn RequestHead) -> bool + Send + Sync;

impl Filter {
    /// Selects every request. This is the default.
    pub const fn all() -> Self {
        Self(None)
    }

    /// Selects the requests for which the predicate returns `true`.
    pub fn new(observes: impl Fn(&dyn RequestHead) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Predicate(Arc::new(observes))))
    }

    /// Selects all requests except those to these paths and their subpaths.
    ///
    /// `/health` skips `/health/live`, but not `/healthy`. The path is the one that the layer receives: inside a nested
    /// router it lacks the prefix of that router.
    pub fn skip_paths(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
        Self::new(move |request| {
            let path = request.target().path;
            !paths.iter().any(|skipped| {
                path.strip_prefix(skipped.as_str()).is_some_and(|subpath| {
                    subpath.is_empty() || subpath.starts_with('/') || skipped.ends_with('/')
                })
            })
        })
    }

    /// Selects all requests except those to these routes.
    ///
    /// A route that is not known when the request arrives is not skipped; see [`Route::matched`].
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
    /// A request without a host is selected only by [`Hosts::all`].
    pub fn only_hosts(hosts: Hosts) -> Self {
        Self::new(move |request| hosts.contains_host_of(request))
    }

    /// Selects a client's requests to all hosts except these.
    ///
    /// A request without a host, or with one that is not understood, is skipped too, because it may be to one of them.
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
            assert!(observes(&Filter::skip_hosts(Hosts::none()), target));
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
    fn all_selects_every_request() {
        assert!(observes(&Filter::all(), "/health"));
    }
}
