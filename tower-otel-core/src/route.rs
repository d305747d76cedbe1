//! The route of a request.

use std::{borrow::Cow, sync::Arc};

use http::Extensions;

/// A request extension with the template that matched the request, such as `/users/{id}`.
///
/// A route has low cardinality. Do not use the path as a route.
///
/// Layers read it from the extensions of the request. On a server, insert it where a router that this crate does not
/// support has matched. On a client, insert the template of the URL. If a proxy forwards a received request with its
/// extensions, the client's layers ignore a `Route` that a server's layer has read.
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
pub struct Route {
    template: Template,
    /// Whether a server's layer has read the route from a received request.
    is_received: bool,
}

#[derive(Clone, Debug)]
enum Template {
    Static(&'static str),
    Shared(Arc<str>),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl Route {
    const fn new(template: Template) -> Self {
        Self {
            template,
            is_received: false,
        }
    }

    /// Returns the template.
    pub fn as_str(&self) -> &str {
        match &self.template {
            Template::Static(route) => route,
            Template::Shared(route) => route,
            #[cfg(feature = "axum")]
            Template::Matched(path) => path.as_str(),
        }
    }

    /// Returns the route that the router has inserted into the extensions of a request: a `Route`,
    /// or axum's `MatchedPath` (feature `axum`).
    pub(crate) fn matched(extensions: &Extensions) -> Option<Self> {
        let matched = extensions.get::<Self>().cloned();
        #[cfg(feature = "axum")]
        let matched = matched.or_else(|| {
            let path = extensions.get::<axum::extract::MatchedPath>()?;
            Some(Self::new(Template::Matched(path.clone())))
        });
        matched
    }

    /// Returns the template that axum's router has matched.
    pub(crate) fn matched_path(extensions: &Extensions) -> Option<&str> {
        #[cfg(feature = "axum")]
        if let Some(path) = extensions.get::<axum::extract::MatchedPath>() {
            return Some(path.as_str());
        }
        let _ = extensions;
        None
    }

    /// Returns the template of a client's request.
    pub(crate) fn of_client(extensions: &Extensions) -> Option<&str> {
        let own = extensions.get::<Self>().filter(|route| !route.is_received);
        own.map(Self::as_str)
    }

    /// Marks the route in the extensions of a received request, so that clients ignore it.
    pub(crate) fn mark_received(extensions: &mut Extensions) {
        if let Some(route) = extensions.get_mut::<Self>() {
            route.is_received = true;
        }
    }
}

impl<T: Into<Cow<'static, str>>> From<T> for Route {
    fn from(route: T) -> Self {
        Self::new(match route.into() {
            Cow::Borrowed(route) => Template::Static(route),
            Cow::Owned(route) => Template::Shared(route.into()),
        })
    }
}
