//! Where `http.route` comes from.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Kind, RequestHead};

/// The template that matched a request, such as `/users/{id}`: a name of low cardinality, never
/// the path itself.
///
/// It can be an extension of a request: on a server a router that this crate does not know leaves
/// it there, on a client it is the template the URL was made from.
///
/// ```
/// use tower_otel_core::Route;
///
/// let request = http::Request::get("http://users.internal/users/7")
///     .extension(Route::from("/users/{id}"))
///     .body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone)]
pub struct Route(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl Route {
    /// The template.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(route) => route,
            Repr::Shared(route) => route,
            #[cfg(feature = "axum")]
            Repr::Matched(path) => path.as_str(),
        }
    }

    /// The route that the router has already left in the request: a `Route`, or axum's
    /// `MatchedPath` (feature `axum`).
    pub fn matched(request: &dyn RequestHead) -> Option<Self> {
        let extensions = request.extensions()?;
        let matched = extensions.get::<Self>().cloned();
        #[cfg(feature = "axum")]
        let matched = matched.or_else(|| {
            let path = extensions.get::<axum::extract::MatchedPath>()?;
            Some(Self(Repr::Matched(path.clone())))
        });
        matched
    }

    /// The template of [`matched`](Self::matched), as long as the request is there.
    fn matched_str(request: &dyn RequestHead) -> Option<&str> {
        let extensions = request.extensions()?;
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

impl From<Arc<str>> for Route {
    fn from(route: Arc<str>) -> Self {
        Self(Repr::Shared(route))
    }
}

#[cfg(feature = "axum")]
impl From<axum::extract::MatchedPath> for Route {
    fn from(path: axum::extract::MatchedPath) -> Self {
        Self(Repr::Matched(path))
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq<str> for Route {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

/// A place in the request's extensions where somebody further in leaves the route.
///
/// An observer outside of the router, or around one that is mounted by `nest_service`, starts
/// before the route is known. It puts an empty slot into the request; [`RouteLayer`](crate::RouteLayer) inside the
/// nested router, or a handler, fills it, and the observer reads it when the response is there or
/// the exchange has ended. All observers of a request share one slot, and the last route written
/// counts, being the one of the innermost router.
#[derive(Clone, Debug, Default)]
pub struct RouteSlot(Arc<Mutex<Option<Route>>>);

impl RouteSlot {
    /// Leaves the route for the observers of this request.
    pub fn set(&self, route: impl Into<Route>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(route.into());
    }

    /// The route, if somebody has left one.
    pub fn get(&self) -> Option<Route> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The slot of this request, left there now if it had none. A request without extensions has
    /// no room for one.
    pub fn of(request: &mut dyn RequestHead) -> Option<Self> {
        let extensions = request.extensions_mut()?;
        Some(extensions.get_or_insert_with(Self::default).clone())
    }
}

/// Names the route of a request: from what the router left in it, from a function, or late.
///
/// The default asks [`Route::matched`].
#[derive(Clone, Default)]
pub struct RouteSource(Option<RouteFn>);

type RouteFn = Arc<dyn Fn(&dyn RequestHead) -> Option<Route> + Send + Sync>;

impl RouteSource {
    /// Asks a function, for routers other than axum's. Where it answers `None` the slot is read.
    pub fn new(route: impl Fn(&dyn RequestHead) -> Option<Route> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(route)))
    }

    /// Finds the route at the start of an exchange. On a server a slot is left for it where it is
    /// not known yet; on a client it is the URL's template, and nobody tells it later.
    pub fn start(&self, kind: Kind, request: &mut dyn RequestHead) -> Routing {
        let known = match (&self.0, kind) {
            (Some(route), _) => route(request),
            (None, Kind::Server) => Route::matched(request),
            // What an incoming request matched here says nothing of where it is sent on to.
            (None, Kind::Client) => request
                .extensions()
                .and_then(|extensions| extensions.get::<Route>().cloned()),
        };
        match (known, kind) {
            (Some(route), _) => Routing::Known(route),
            (None, Kind::Server) => RouteSlot::of(request).map_or(Routing::Unknown, Routing::Late),
            (None, Kind::Client) => Routing::Unknown,
        }
    }

    /// Shows the route of an incoming request, as far as it is known at its start, to somebody who
    /// need not keep it.
    pub fn show<T>(&self, request: &dyn RequestHead, to: impl FnOnce(Option<&str>) -> T) -> T {
        let told;
        let route = match &self.0 {
            None => Route::matched_str(request),
            Some(route) => {
                told = route(request);
                told.as_ref().map(Route::as_str)
            }
        };
        to(route)
    }
}

impl fmt::Debug for RouteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "RouteSource::Function",
            None => "RouteSource::Matched",
        })
    }
}

/// What an exchange knows of its route.
#[derive(Clone, Debug, Default)]
pub enum Routing {
    /// Nobody will tell.
    #[default]
    Unknown,
    /// Known from the start.
    Known(Route),
    /// Somebody further in may tell.
    Late(RouteSlot),
}

impl Routing {
    /// The route, as far as it is known by now.
    pub fn route(&self) -> Option<Route> {
        match self {
            Self::Unknown => None,
            Self::Known(route) => Some(route.clone()),
            Self::Late(slot) => slot.get(),
        }
    }
}
