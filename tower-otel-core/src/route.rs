//! The route of a request.

use std::sync::Arc;

use http::Extensions;

/// The template that matched a request, such as `/users/{id}`. It has few values; the path itself is
/// never a route.
///
/// As an extension of a request it is read by the layers. On a server, a router that this crate does
/// not know inserts it; on a client it is the template that the URL was made from.
///
/// ```
/// use tower_otel_core::Route;
///
/// let request = http::Request::get("http://users.internal/users/7")
///     .extension(Route::from("/users/{id}"))
///     .body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Route(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl Route {
    /// Returns the template.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(route) => route,
            Repr::Shared(route) => route,
            #[cfg(feature = "axum")]
            Repr::Matched(path) => path.as_str(),
        }
    }

    /// Returns the route that the router has inserted into the extensions of a request: a `Route`,
    /// or axum's `MatchedPath` (feature `axum`).
    pub fn matched(extensions: &Extensions) -> Option<Self> {
        let matched = extensions.get::<Self>().cloned();
        #[cfg(feature = "axum")]
        let matched = matched.or_else(|| {
            let path = extensions.get::<axum::extract::MatchedPath>()?;
            Some(Self(Repr::Matched(path.clone())))
        });
        matched
    }

    /// Returns the template of the route that [`matched`](Self::matched) returns, borrowed.
    pub(crate) fn matched_str(extensions: &Extensions) -> Option<&str> {
        let matched = extensions.get::<Self>().map(Self::as_str);
        #[cfg(feature = "axum")]
        let matched = matched.or_else(|| {
            let path = extensions.get::<axum::extract::MatchedPath>()?;
            Some(path.as_str())
        });
        matched
    }
}

impl From<&'static str> for Route {
    fn from(route: &'static str) -> Self {
        Self(Repr::Static(route))
    }
}

impl From<String> for Route {
    fn from(route: String) -> Self {
        Self(Repr::Shared(route.into()))
    }
}
