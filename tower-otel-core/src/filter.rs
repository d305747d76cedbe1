//! Which exchanges are observed at all.

use std::{fmt, sync::Arc};

use crate::{Hosts, RequestHead, Route};

/// A rule that spans and metrics share: which requests they watch.
///
/// A request that is filtered out is served as always, and the context it arrived with goes on
/// to the requests made on its behalf.
///
/// ```
/// use tower_otel_core::Filter;
///
/// let rule = Filter::skip_paths(["/healthz", "/metrics"]);
/// let health = http::Request::get("/healthz/live").body(()).unwrap();
/// let user = http::Request::get("/users/7").body(()).unwrap();
/// assert!(!rule.observes(&health));
/// assert!(rule.observes(&user));
/// ```
#[derive(Clone, Default)]
pub struct Filter(Option<Predicate>);

type Predicate = Arc<dyn Fn(&dyn RequestHead) -> bool + Send + Sync>;

impl Filter {
    /// Watches every request. This is the default.
    pub const fn all() -> Self {
        Self(None)
    }

    /// Watches the requests for which the predicate is true.
    pub fn new(observes: impl Fn(&dyn RequestHead) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observes)))
    }

    /// Watches all but these paths and what lies below them: `/health` skips `/health/live`, and
    /// not `/healthy`. The path is that of the request as it reaches the layer: inside of a nested
    /// router the prefix of that router is gone from it.
    pub fn skip_paths(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
        Self::new(move |request| {
            let path = request.target().path;
            !paths.iter().any(|skipped| {
                path.strip_prefix(skipped.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || skipped.ends_with('/')
                })
            })
        })
    }

    /// Watches all but these routes, as far as they are known when the request arrives
    /// ([`Route::matched`]).
    pub fn skip_routes(routes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let routes: Vec<String> = routes.into_iter().map(Into::into).collect();
        Self::new(move |request| {
            request
                .extensions()
                .and_then(Route::matched)
                .is_none_or(|matched| !routes.iter().any(|skipped| matched.as_str() == skipped))
        })
    }

    /// Watches the requests of a client to these hosts. One that names no host is not among them,
    /// unless they are [all](Hosts::all).
    pub fn only_hosts(hosts: Hosts) -> Self {
        Self::new(move |request| hosts.receive(request))
    }

    /// Watches the requests of a client to all but these hosts.
    pub fn skip_hosts(hosts: Hosts) -> Self {
        Self::new(move |request| !hosts.receive(request))
    }

    /// Whether the request is to be observed.
    pub fn observes(&self, request: &dyn RequestHead) -> bool {
        match &self.0 {
            None => true,
            Some(observes) => observes(request),
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Filter::all",
            Some(_) => "Filter",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn observes(rule: &Filter, path: &str) -> bool {
        rule.observes(&http::Request::get(path).body(()).unwrap())
    }

    #[test]
    fn a_skipped_path_covers_what_lies_below_it_and_nothing_beside() {
        let rule = Filter::skip_paths(["/health", "/internal/"]);
        assert!(!observes(&rule, "/health"));
        assert!(!observes(&rule, "/health?deep=1"));
        assert!(!observes(&rule, "/health/live"));
        assert!(!observes(&rule, "/internal/x"));
        assert!(observes(&rule, "/healthy"));
        assert!(observes(&rule, "/internal"));
        assert!(observes(&rule, "/"));
    }

    #[test]
    fn hosts_are_let_in_or_kept_out() {
        let ours = Hosts::new(["ours.example"]);
        let (only, skip) = (Filter::only_hosts(ours.clone()), Filter::skip_hosts(ours));
        for (target, is_ours) in [
            ("https://ours.example/", true),
            ("https://theirs.example/?ours.example", false),
            ("/", false),
        ] {
            assert_eq!(observes(&only, target), is_ours, "{target}");
            assert_eq!(observes(&skip, target), !is_ours, "{target}");
        }
    }

    #[test]
    fn all_observes_everything() {
        assert!(observes(&Filter::all(), "/health"));
    }
}
