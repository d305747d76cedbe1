//! The options that all layers share.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use tower_otel_semconv::{KnownMethods, TrustedProxies};

use crate::{filter::Filter, head::RequestHead, route::Route};

/// The options that all layers share: which requests are observed, and how their route, method, scheme and client are
/// read.
///
/// Create one value and pass it to several layers, so that the spans and metrics of a request agree.
/// [Joined](crate::observe) layers with clones of the same options also resolve the route and the forwarded headers once.
///
/// | option | default |
/// |---|---|
/// | [`filter`](Self::filter) | all requests |
/// | [`route`](Self::route) | a [`Route`] in the extensions, else on a server axum's `MatchedPath` |
/// | [`known_methods`](Self::known_methods) | `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`, else those of the conventions |
/// | [`trusted_proxies`](Self::trusted_proxies) | none |
/// | [`https`](Self::https) | off |
///
/// ```
/// use tower_otel_core::{Filter, HttpOptions};
///
/// let options = HttpOptions::default()
///     .filter(Filter::skip_paths(["/healthz"]))
///     .https();
/// // TraceLayer::server().http_options(&options), MetricsLayer::server().http_options(&options)
/// ```
///
/// Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions(SharedValues);

/// Values that options share with their clones. All default options share one value.
#[derive(Clone, Debug)]
struct SharedValues(Arc<Values>);

#[derive(Clone, Debug)]
struct Values {
    filter: Filter,
    route: RouteSource,
    known_methods: KnownMethods,
    trusted_proxies: Option<TrustedProxies>,
    https: bool,
}

/// A function that returns the route of a request.
#[derive(Clone, Default)]
struct RouteSource(Option<RouteFn>);

type RouteFn = Arc<dyn Fn(&dyn RequestHead) -> Option<Route> + Send + Sync>;

/// The defaults, shared by all layers. The environment is read once.
static DEFAULT: LazyLock<SharedValues> = LazyLock::new(|| {
    SharedValues(Arc::new(Values {
        filter: Filter::default(),
        route: RouteSource::default(),
        known_methods: KnownMethods::from_env(),
        trusted_proxies: None,
        https: false,
    }))
});

impl Default for SharedValues {
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl HttpOptions {
    /// Sets which requests are observed. Default: all.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.with(|values| values.filter = filter)
    }

    /// Sets a function that returns the route of a request, for routers other than axum's.
    ///
    /// Default on a server: a [`Route`] in the extensions of the request, else axum's `MatchedPath`
    /// (feature `axum`). Default on a client: a [`Route`] in the extensions, which is the template of the URL.
    /// The function replaces the default, also if it returns `None`. If no route is found, a server reads the
    /// [`RouteSlot`](crate::RouteSlot) when the exchange ends.
    ///
    /// ```
    /// use tower_otel_core::{HttpOptions, Route};
    ///
    /// #[derive(Clone)]
    /// struct Matched(&'static str); // the extension of another router
    ///
    /// let options = HttpOptions::default().route(|request| {
    ///     request.extensions()?.get::<Matched>().map(|matched| Route::from(matched.0))
    /// });
    /// ```
    #[must_use]
    pub fn route(
        self,
        route: impl Fn(&dyn RequestHead) -> Option<Route> + Send + Sync + 'static,
    ) -> Self {
        self.with(|values| values.route = RouteSource(Some(Arc::new(route))))
    }

    /// Sets the methods that are recorded by name. Other methods are recorded as `_OTHER`.
    ///
    /// Default: the list in `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`, read once per process, else the methods of the
    /// conventions ([specification](https://opentelemetry.io/docs/specs/semconv/http/http-spans/)).
    #[must_use]
    pub fn known_methods(self, methods: KnownMethods) -> Self {
        self.with(|values| values.known_methods = methods)
    }

    /// Sets the proxies whose forwarded headers are trusted. Default: none, because any client can
    /// send these headers.
    #[must_use]
    pub fn trusted_proxies(self, proxies: TrustedProxies) -> Self {
        self.with(|values| values.trusted_proxies = Some(proxies))
    }

    /// Declares that the server terminates TLS itself: the scheme is `https` unless a trusted proxy
    /// forwards another one. Default: the scheme of the request target, else `http`.
    ///
    /// A layer cannot detect TLS. An HTTP/2 request contains its scheme; an HTTP/1.1 request does not.
    #[must_use]
    pub fn https(self) -> Self {
        self.with(|values| values.https = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Values)) -> Self {
        change(Arc::make_mut(&mut self.0.0));
        self
    }

    #[inline]
    fn values(&self) -> &Values {
        &self.0.0
    }

    #[inline]
    pub(crate) fn has_filter(&self) -> bool {
        self.values().filter.is_set()
    }

    /// Returns whether the request is observed.
    pub(crate) fn observes(&self, request: &dyn RequestHead) -> bool {
        self.values().filter.observes(request)
    }

    /// Returns the methods that are recorded by name.
    #[doc(hidden)]
    #[inline]
    pub fn methods(&self) -> &KnownMethods {
        &self.values().known_methods
    }

    #[inline]
    pub(crate) fn has_custom_route(&self) -> bool {
        self.values().route.0.is_some()
    }

    pub(crate) fn custom_route(&self, request: &dyn RequestHead) -> Option<Route> {
        let RouteSource(route) = &self.values().route;
        route.as_ref()?(request)
    }

    #[inline]
    pub(crate) fn proxies(&self) -> Option<&TrustedProxies> {
        self.values().trusted_proxies.as_ref()
    }

    /// Returns the scheme of requests whose target has none: `https` if declared, else `http`. Returns `None` if a trusted
    /// proxy may forward a scheme.
    #[doc(hidden)]
    #[inline]
    pub fn untrusting_scheme(&self) -> Option<&'static str> {
        match self.values() {
            values if values.trusted_proxies.is_some() => None,
            values if values.https => Some("https"),
            _ => Some("http"),
        }
    }

    /// Returns the scheme of the connection, if it was declared.
    pub(crate) fn connection_scheme(&self) -> Option<&'static str> {
        self.values().https.then_some("https")
    }

    /// Returns whether one is a clone of the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.0, &other.0.0)
    }
}

impl fmt::Debug for RouteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Function",
            None => "Matched",
        })
    }
}
