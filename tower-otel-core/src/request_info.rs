//! A request, read once for all observers of its exchange.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    fmt,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use http::{Extensions, HeaderMap, Method, Version};
use tower_otel_semconv::{
    Endpoint, Forwarded, HostPort, Kind, Target, named_server, server_scheme,
};

use crate::{
    additions::Additions,
    head::{RequestHead, received_target},
    known_headers::KnownHeaders,
    options::HttpOptions,
    peer::PeerAddr,
    route::Route,
    route_slot::RouteSlot,
};

/// The request of an exchange. Observers read it in [`Observe::start`](crate::Observe::start).
///
/// Each value is resolved when it is first used, and cached for the other observers of the layer. So spans
/// and metrics record the same values, and nothing is looked up twice.
pub struct RequestInfo<'a> {
    head: &'a dyn RequestHead,
    method: &'a Method,
    headers: &'a HeaderMap,
    extensions: Option<&'a Extensions>,
    known_headers: OnceCell<KnownHeaders<'a>>,
    server_target: OnceCell<Target<'a>>,
    client_target: OnceCell<Target<'a>>,
    // Cells of copied values, because the cold initialization of a `OnceCell` costs a call.
    peer: Cell<Option<Option<SocketAddr>>>,
    named_server: Cell<Option<(Kind, Option<HostPort<'a>>)>>,
    routes: Cell<Option<Routes<'a>>>,
    custom_route: OnceCell<CustomRoute>,
    /// Boxed, because few requests need it.
    extras: OnceCell<Box<RequestExtras<'a>>>,
}

/// The routes of a received request.
#[derive(Clone, Copy)]
struct Routes<'a> {
    /// The [`Route`] in the extensions.
    received: Option<&'a str>,
    /// The same, else the route that axum's router matched.
    matched: Option<&'a str>,
}

/// The route that the function of these options has returned.
struct CustomRoute {
    options: HttpOptions,
    route: Option<Route>,
    next: OnceCell<Box<OnceCell<CustomRoute>>>,
}

/// Forwarded headers, and additions of observers to the request.
#[derive(Default)]
struct RequestExtras<'a> {
    forwarded: OnceCell<(HttpOptions, Forwarded<'a>)>,
    additions: RefCell<Additions>,
}

impl<'a> RequestInfo<'a> {
    /// Creates the information of a request. Values are resolved later, on first use.
    #[doc(hidden)]
    pub fn new<R: RequestHead>(request: &'a R) -> Self {
        Self {
            head: request,
            method: request.method(),
            headers: request.headers(),
            extensions: request.extensions(),
            known_headers: OnceCell::new(),
            server_target: OnceCell::new(),
            client_target: OnceCell::new(),
            peer: Cell::new(None),
            named_server: Cell::new(None),
            routes: Cell::new(None),
            custom_route: OnceCell::new(),
            extras: OnceCell::new(),
        }
    }

    /// Returns the head of the request, to pass it to functions of the application.
    pub const fn head(&self) -> &'a dyn RequestHead {
        self.head
    }

    /// Returns the method as sent.
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// Returns the protocol version of the request. On a client it is the requested one.
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the headers that the layers read, found in one pass.
    #[doc(hidden)]
    #[inline]
    pub fn known_headers(&self) -> &KnownHeaders<'a> {
        self.known_headers
            .get()
            .unwrap_or_else(|| self.find_known_headers())
    }

    #[inline(never)]
    fn find_known_headers(&self) -> &KnownHeaders<'a> {
        set_once(&self.known_headers, KnownHeaders::find(self.headers))
    }

    /// Returns the extensions. Returns `None` if the type of the request has none, such as `reqwest::Request`.
    pub const fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// Returns the target. On a server it is the received target, before routers removed a prefix from its path
    /// (feature `axum`).
    #[inline]
    pub fn target(&self, kind: Kind) -> Target<'a> {
        match kind {
            Kind::Server => *self
                .server_target
                .get()
                .unwrap_or_else(|| self.find_received_target()),
            Kind::Client => *self.client_target.get_or_init(|| self.head.target()),
        }
    }

    #[inline(never)]
    fn find_received_target(&self) -> &Target<'a> {
        let target = received_target(self.head, self.extensions);
        set_once(&self.server_target, target)
    }

    /// Returns the address of the peer that sent the request, or `None` if it is not known.
    #[inline]
    pub fn peer(&self) -> Option<SocketAddr> {
        get_or_set(&self.peer, || self.extensions.and_then(PeerAddr::of))
    }

    /// Returns the route, or `None` if it is not known.
    ///
    /// If the options have a [function](HttpOptions::route), returns the route of this function. Otherwise
    /// returns a [`Route`] in the extensions. On a server, axum's `MatchedPath` (feature `axum`) also applies.
    #[inline(always)]
    pub fn route(&self, kind: Kind, options: &HttpOptions) -> Option<&str> {
        // The route of a received request is not the route of a request that a proxy sends for it.
        match kind {
            _ if options.has_custom_route() => self.custom_route(options),
            Kind::Server => self.routes().matched,
            Kind::Client => self.extensions.and_then(Route::of_client),
        }
    }

    #[inline(always)]
    fn routes(&self) -> Routes<'a> {
        self.routes.get().unwrap_or_else(|| self.find_routes())
    }

    #[inline(never)]
    fn find_routes(&self) -> Routes<'a> {
        let extensions = self.extensions;
        let received = extensions.and_then(|extensions| extensions.get::<Route>());
        let received = received.map(Route::as_str);
        let routes = Routes {
            received,
            matched: received.or_else(|| Route::matched_path(extensions?)),
        };
        self.routes.set(Some(routes));
        routes
    }

    /// Returns whether a server's layer has read a [`Route`] in the extensions.
    pub(crate) fn has_received_route(&self) -> bool {
        let routes = self.routes.get();
        routes.is_some_and(|routes| routes.received.is_some())
    }

    /// Calls the function in the options, once for all layers with the same options.
    #[cold]
    fn custom_route(&self, options: &HttpOptions) -> Option<&str> {
        let mut cell = &self.custom_route;
        loop {
            let custom = cell.get_or_init(|| CustomRoute {
                options: options.clone(),
                route: self.call_function(None, || options.custom_route(self.head)),
                next: OnceCell::new(),
            });
            if custom.options.is_same(options) {
                return custom.route.as_ref().map(Route::as_str);
            }
            cell = custom.next.get_or_init(Box::default);
        }
    }

    /// Returns whether the filter in the options selects the request.
    ///
    /// A layer calls this method first. On a server it marks the [`Route`] in the extensions as received, even if the
    /// request is not selected.
    #[doc(hidden)]
    #[inline(always)]
    pub fn is_observed(&self, kind: Kind, options: &HttpOptions) -> bool {
        if kind == Kind::Server {
            self.routes();
        }
        !options.has_filter() || self.call_function(true, || options.observes(self.head))
    }

    /// Calls a function of the application and returns its value.
    ///
    /// If the function panics, `default` is returned and no further function is called. After all observers have
    /// started, their exchanges end as [`End::Panicked`](crate::End::Panicked), and the panic continues.
    #[doc(hidden)]
    pub fn call_function<T>(&self, default: T, function: impl FnOnce() -> T) -> T {
        let has_panicked = self.extras.get().is_some_and(|extras| {
            let additions = extras.additions.try_borrow();
            additions.map_or(true, |additions| additions.panic.is_some())
        });
        if has_panicked {
            return default;
        }
        match catch_unwind(AssertUnwindSafe(function)) {
            Ok(value) => value,
            Err(panic) => {
                if let Ok(mut additions) = self.extras().additions.try_borrow_mut() {
                    additions.panic.get_or_insert(panic);
                }
                default
            }
        }
    }

    /// Returns the slot for a route that is set later. If the request has no slot, one is inserted. Returns `None` if
    /// the request has no extensions.
    #[doc(hidden)]
    #[inline]
    pub fn route_slot(&self) -> Option<RouteSlot> {
        let extensions = self.extensions?;
        if let Some(slot) = extensions.get::<RouteSlot>() {
            return Some(slot.clone());
        }
        let mut additions = self.extras().additions.try_borrow_mut().ok()?;
        Some(additions.route_slot.get_or_insert_default().clone())
    }

    /// Returns client, scheme and host, if trusted proxies forward them.
    #[cold]
    fn forwarded(&self, options: &HttpOptions) -> Cow<'_, Forwarded<'a>> {
        let resolve = || {
            let peer = self.peer().map(Endpoint::from);
            let proxies = options.proxies().cloned().unwrap_or_default();
            proxies.resolve(self.headers, peer)
        };
        let forwarded = &self.extras().forwarded;
        match forwarded.get_or_init(|| (options.clone(), resolve())) {
            (of, forwarded) if of.is_same(options) => Cow::Borrowed(forwarded),
            _ => Cow::Owned(resolve()),
        }
    }

    /// Returns the scheme that the client used.
    #[doc(hidden)]
    #[inline]
    pub fn server_scheme(&self, options: &HttpOptions) -> &'static str {
        let proto = options
            .proxies()
            .and_then(|_| self.forwarded(options).proto);
        proto.unwrap_or_else(|| {
            let target = self.target(Kind::Server);
            server_scheme(&Forwarded::default(), options.connection_scheme(), &target)
        })
    }

    /// Returns the client: the peer, or the first hop that is not a trusted proxy.
    #[doc(hidden)]
    #[inline]
    pub fn client(&self, options: &HttpOptions) -> Option<Endpoint> {
        match options.proxies() {
            None => self.peer().map(Endpoint::from),
            Some(_) => self.forwarded(options).client,
        }
    }

    /// Returns the host and port of the server that the request is for.
    ///
    /// On a server, it is the host that a trusted proxy forwards, else the host of the target or of the `Host` header.
    /// On a client, it is the host of the target or of the `Host` header. A client's request without a port has the
    /// default port of the scheme.
    #[doc(hidden)]
    #[inline]
    pub fn server(&self, kind: Kind, options: &HttpOptions) -> Option<(Cow<'a, str>, Option<u16>)> {
        if kind == Kind::Server
            && options.proxies().is_some()
            && let Some(host) = &self.forwarded(options).host
        {
            let HostPort { host, port } = HostPort::parse(host)?;
            return Some((Cow::Owned(host.to_owned()), port));
        }
        let HostPort { host, port } = self.named_server(kind)?;
        Some((Cow::Borrowed(host), port))
    }

    /// Returns the server in the target or the `Host` header.
    #[inline]
    fn named_server(&self, kind: Kind) -> Option<HostPort<'a>> {
        let resolve = || {
            let target = self.target(kind);
            let host = || self.known_headers().host;
            named_server(kind, &target, host)
        };
        get_or_set_for(&self.named_server, kind, resolve)
    }

    /// Inserts an extension into the request after all observers have started. Returns `false` if the request has no
    /// extensions.
    #[doc(hidden)]
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, extension: T) -> bool {
        if self.extensions.is_none() {
            return false;
        }
        let Ok(mut additions) = self.extras().additions.try_borrow_mut() else {
            return false;
        };
        let extensions = additions.extensions.get_or_insert_default();
        extensions.insert(extension);
        true
    }

    /// Returns whether there are values to drop.
    #[inline(always)]
    pub(crate) fn has_values_to_drop(&self) -> bool {
        self.custom_route.get().is_some() || self.extras.get().is_some()
    }

    pub(crate) fn take_additions(&self) -> Option<Additions> {
        self.extras.get().map(|extras| extras.additions.take())
    }

    #[cold]
    fn extras(&self) -> &RequestExtras<'a> {
        self.extras.get_or_init(Box::default)
    }
}

/// Sets the value of an empty cell, with fewer instructions than the initialization by [`OnceCell::get_or_init`].
#[inline]
fn set_once<T: Copy>(cell: &OnceCell<T>, value: T) -> &T {
    let _ = cell.set(value);
    cell.get_or_init(|| value)
}

/// Returns the value of a cell. If the cell is empty, it is set first.
#[inline]
fn get_or_set<T: Copy>(cell: &Cell<Option<T>>, resolve: impl FnOnce() -> T) -> T {
    cell.get().unwrap_or_else(|| {
        let value = resolve();
        cell.set(Some(value));
        value
    })
}

/// Returns the value of a cell for this kind. A value for the other kind is not replaced.
#[inline]
fn get_or_set_for<T: Copy>(
    cell: &Cell<Option<(Kind, T)>>,
    kind: Kind,
    resolve: impl FnOnce() -> T,
) -> T {
    match cell.get() {
        Some((of, value)) if of == kind => value,
        Some(_) => resolve(),
        None => {
            let value = resolve();
            cell.set(Some((kind, value)));
            value
        }
    }
}

impl fmt::Debug for RequestInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo")
            .field("method", self.method)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tower_otel_semconv::TrustedProxies;

    use super::*;
    use crate::filter::Filter;

    fn request(headers: &[(&'static str, &'static str)]) -> http::Request<()> {
        let mut request = http::Request::new(());
        for (name, value) in headers {
            let value = http::HeaderValue::from_static(value);
            request.headers_mut().insert(*name, value);
        }
        request
    }

    fn server(options: &HttpOptions, forwarded: &'static str) -> Option<(String, Option<u16>)> {
        let request = request(&[("host", "internal:8080"), ("x-forwarded-host", forwarded)]);
        let info = RequestInfo::new(&request);
        let (host, port) = info.server(Kind::Server, options)?;
        Some((host.into_owned(), port))
    }

    #[test]
    fn the_host_of_a_trusted_proxy_takes_precedence_and_an_invalid_one_is_ignored() {
        let trusting = HttpOptions::default().trusted_proxies(TrustedProxies::all());
        let named = Some(("internal".to_owned(), Some(8080)));
        let forwarded = Some(("shop.example".to_owned(), Some(443)));
        assert_eq!(server(&trusting, "shop.example:443"), forwarded);
        assert_eq!(server(&HttpOptions::default(), "shop.example:443"), named);
        assert_eq!(server(&trusting, "no host"), named);
    }

    #[test]
    fn the_route_of_a_received_request_is_received_even_if_a_filter_skips_the_request() {
        let mut request = request(&[]);
        request.extensions_mut().insert(Route::from("/users/{id}"));
        let options = HttpOptions::default().filter(Filter::new(|_: &dyn RequestHead| false));
        for (kind, is_received) in [(Kind::Server, true), (Kind::Client, false)] {
            let info = RequestInfo::new(&request);
            assert!(!info.is_observed(kind, &options));
            assert_eq!(info.has_received_route(), is_received, "{kind:?}");
        }
    }

    #[test]
    fn a_route_is_not_returned_for_other_options_even_if_the_first_are_dropped() {
        let request = request(&[]);
        let info = RequestInfo::new(&request);
        for name in ["/a", "/b", "/c", "/d"] {
            let options = HttpOptions::default().route(move |_| Some(Route::from(name)));
            assert_eq!(info.route(Kind::Server, &options), Some(name));
            let changed = options.https();
            assert_eq!(info.server_scheme(&changed), "https");
            assert_eq!(info.route(Kind::Server, &changed), Some(name));
        }
    }

    #[test]
    fn forwarded_headers_are_not_returned_for_other_options() {
        let request = request(&[("x-forwarded-proto", "https")]);
        let info = RequestInfo::new(&request);
        for _ in 0..4 {
            for (proxies, scheme) in [
                (TrustedProxies::all(), "https"),
                (TrustedProxies::hops(0), "http"),
            ] {
                let options = HttpOptions::default().trusted_proxies(proxies);
                assert_eq!(info.server_scheme(&options), scheme);
            }
        }
    }
}
