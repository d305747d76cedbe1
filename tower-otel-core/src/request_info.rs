//! A request, read once for all observers of its exchange.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    fmt,
    net::SocketAddr,
};

use http::{Extensions, HeaderMap, Method, Version};
use tower_otel_semconv::{Endpoint, Forwarded, HostPort, Kind, Target, server, server_scheme};

use crate::{
    head::{RequestHead, received_target},
    known_headers::KnownHeaders,
    options::HttpOptions,
    route::Route,
    route_slot::RouteSlot,
};

/// The request of an exchange, as its observers read it.
///
/// Each value is resolved when it is first asked for, and then kept for the other observers of the
/// exchange. So spans and metrics record the same values, and nothing is looked up twice.
pub struct RequestInfo<'a> {
    head: &'a dyn RequestHead,
    method: &'a Method,
    headers: &'a HeaderMap,
    extensions: Option<&'a Extensions>,
    // Cells of copied values, because the cold initialization of a `OnceCell` costs a call.
    known_headers: Cell<Option<KnownHeaders<'a>>>,
    target: Cell<Option<(Kind, Target<'a>)>>,
    peer: Cell<Option<Option<SocketAddr>>>,
    named_server: Cell<Option<(Kind, Option<HostPort<'a>>)>>,
    matched_route: Cell<Option<Option<&'a str>>>,
    /// Boxed, because few requests need it.
    extras: OnceCell<Box<Extras<'a>>>,
}

/// What few requests need.
#[derive(Default)]
struct Extras<'a> {
    custom_route: OnceCell<(usize, Option<Route>)>,
    forwarded: OnceCell<(usize, Forwarded<'a>)>,
    additions: RefCell<Additions>,
}

/// What observers add to the extensions of a request after all of them have started.
#[derive(Default)]
pub(crate) struct Additions {
    route_slot: Option<RouteSlot>,
    extensions: Option<Extensions>,
}

impl<'a> RequestInfo<'a> {
    /// Reads this request.
    #[doc(hidden)]
    pub fn new<R: RequestHead>(request: &'a R) -> Self {
        Self {
            head: request,
            method: request.method(),
            headers: request.headers(),
            extensions: request.extensions(),
            known_headers: Cell::new(None),
            target: Cell::new(None),
            peer: Cell::new(None),
            named_server: Cell::new(None),
            matched_route: Cell::new(None),
            extras: OnceCell::new(),
        }
    }

    /// Returns the request itself, for functions that read it.
    pub const fn head(&self) -> &'a dyn RequestHead {
        self.head
    }

    /// Returns the method, as it was sent.
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// Returns the protocol version of the request. On a client it is the version asked for.
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
    pub fn known_headers(&self) -> KnownHeaders<'a> {
        get_or_set(&self.known_headers, || KnownHeaders::find(self.headers))
    }

    /// Returns the extensions, if the type of the request has any (`reqwest::Request` has none).
    pub const fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// Returns the target. On a server it is the one that was received, before routers removed a
    /// prefix from its path.
    #[inline]
    pub fn target(&self, kind: Kind) -> Target<'a> {
        let resolve = || match kind {
            Kind::Server => received_target(self.head),
            Kind::Client => self.head.target(),
        };
        get_or_set_for(&self.target, kind, resolve)
    }

    /// Returns the address of the peer that sent the request, if it is known.
    #[inline]
    pub fn peer(&self) -> Option<SocketAddr> {
        get_or_set(&self.peer, || self.head.peer())
    }

    /// Returns the route: what the function in the options returns, else the
    /// [matched](Route::matched) one. On a client, only a [`Route`] in the extensions counts.
    #[inline]
    pub fn route(&self, kind: Kind, options: &HttpOptions) -> Option<Cow<'_, str>> {
        if options.has_custom_route() {
            return self.custom_route(options);
        }
        let matched = match kind {
            Kind::Server => get_or_set(&self.matched_route, || {
                self.extensions.and_then(Route::matched_str)
            }),
            // The route of an incoming request is not that of a request sent on its behalf.
            Kind::Client => self
                .extensions
                .and_then(|extensions| extensions.get::<Route>().map(Route::as_str)),
        };
        matched.map(Cow::Borrowed)
    }

    #[cold]
    fn custom_route(&self, options: &HttpOptions) -> Option<Cow<'_, str>> {
        let resolve = || options.custom_route(self.head);
        let id = options.id();
        match self.extras().custom_route.get_or_init(|| (id, resolve())) {
            (of, route) if *of == id => route.as_ref().map(|route| Cow::Borrowed(route.as_str())),
            _ => resolve().map(|route| Cow::Owned(route.as_str().to_owned())),
        }
    }

    /// Returns the slot in which the route is left later. It is inserted into the request if there
    /// is none. Returns `None` if the request has no extensions.
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

    /// Returns client, scheme and host as far as trusted proxies forward them.
    #[cold]
    fn forwarded(&self, options: &HttpOptions) -> Cow<'_, Forwarded<'a>> {
        let resolve = || {
            let peer = self.peer().map(Endpoint::from);
            let proxies = options.proxies().cloned().unwrap_or_default();
            proxies.resolve(self.headers, peer)
        };
        let id = options.id();
        match self.extras().forwarded.get_or_init(|| (id, resolve())) {
            (of, forwarded) if *of == id => Cow::Borrowed(forwarded),
            _ => Cow::Owned(resolve()),
        }
    }

    /// Returns the scheme a client has used to reach this server.
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

    /// Returns the client: the peer, or the first hop that no trusted proxy is.
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
    /// On a server: the host that a trusted proxy forwards, else that of the target or of `Host`. On a
    /// client: that of the target or of `Host`, with the default port of the scheme if none is
    /// written.
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

    /// Returns the server that the target or the `Host` header names.
    #[inline]
    fn named_server(&self, kind: Kind) -> Option<HostPort<'a>> {
        let resolve = || {
            let target = self.target(kind);
            let host = || self.known_headers().host.only();
            match kind {
                Kind::Server => server::on_server(&target, host),
                Kind::Client => server::on_client(&target, host),
            }
        };
        get_or_set_for(&self.named_server, kind, resolve)
    }

    /// Inserts an extension into the request, once all observers have started. Returns whether the
    /// request has extensions.
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

    pub(crate) fn take_additions(&self) -> Option<Additions> {
        self.extras.get().map(|extras| extras.additions.take())
    }

    #[cold]
    fn extras(&self) -> &Extras<'a> {
        self.extras.get_or_init(Box::default)
    }
}

/// Returns the value of a cell, which is set if it is empty.
#[inline]
fn get_or_set<T: Copy>(cell: &Cell<Option<T>>, resolve: impl FnOnce() -> T) -> T {
    cell.get().unwrap_or_else(|| {
        let value = resolve();
        cell.set(Some(value));
        value
    })
}

/// Returns the value of a cell for this kind. If it is set for the other kind, it is not replaced.
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

impl Additions {
    /// Inserts them into the request.
    #[cold]
    pub(crate) fn insert(self, request: &mut dyn RequestHead) {
        let Some(extensions) = request.extensions_mut() else {
            return;
        };
        if let Some(slot) = self.route_slot {
            extensions.insert(slot);
        }
        if let Some(added) = self.extensions {
            extensions.extend(added);
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
