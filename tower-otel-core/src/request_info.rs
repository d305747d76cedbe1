//! A request, read once for all observers of its exchange.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    fmt,
    net::SocketAddr,
};

use http::{Extensions, HeaderMap, Method, Version};
use tower_otel_semconv::{
    Endpoint, Forwarded, HostPort, Kind, Target, content_length, server, server_scheme,
};

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
    known_headers: OnceCell<KnownHeaders<'a>>,
    target: OnceCell<(Kind, Target<'a>)>,
    peer: OnceCell<Option<SocketAddr>>,
    named_host: OnceCell<(Kind, Option<HostPort<'a>>)>,
    matched_route: OnceCell<Option<&'a str>>,
    custom_route: OnceCell<(usize, Option<Route>)>,
    forwarded: OnceCell<(usize, Forwarded<'a>)>,
    additions: RefCell<Additions>,
}

/// What observers add to the extensions of a request after all of them have started.
#[derive(Default)]
pub(crate) struct Additions {
    route_slot: Option<RouteSlot>,
    extensions: Option<Box<Extensions>>,
}

/// The route of a request at its start.
#[derive(Clone, Debug)]
pub enum RequestRoute<'a> {
    /// The request has no route, or not yet.
    Unknown,
    /// The template, borrowed from the request.
    Borrowed(&'a str),
    /// The template that a function has returned.
    Owned(Route),
}

impl RequestRoute<'_> {
    /// Returns the template.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Unknown => None,
            Self::Borrowed(route) => Some(route),
            Self::Owned(route) => Some(route.as_str()),
        }
    }
}

impl<'a> RequestInfo<'a> {
    /// Reads this request.
    pub fn new<R: RequestHead>(request: &'a R) -> Self {
        Self {
            head: request,
            method: request.method(),
            headers: request.headers(),
            extensions: request.extensions(),
            known_headers: OnceCell::new(),
            target: OnceCell::new(),
            peer: OnceCell::new(),
            named_host: OnceCell::new(),
            matched_route: OnceCell::new(),
            custom_route: OnceCell::new(),
            forwarded: OnceCell::new(),
            additions: RefCell::default(),
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

    /// Returns the method if it is one that is recorded by name, else `None`.
    pub fn known_method(&self, options: &HttpOptions) -> Option<&'a str> {
        options.methods().name(self.method)
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
    pub fn known_headers(&self) -> &KnownHeaders<'a> {
        self.known_headers
            .get_or_init(|| KnownHeaders::find(self.headers))
    }

    /// Returns the extensions, if the type of the request has any (`reqwest::Request` has none).
    pub const fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// Returns the target. On a server it is the one that was received, before routers removed a
    /// prefix from its path.
    pub fn target(&self, kind: Kind) -> Target<'a> {
        let resolve = || match kind {
            Kind::Server => received_target(self.head),
            Kind::Client => self.head.target(),
        };
        match *self.target.get_or_init(|| (kind, resolve())) {
            (of, target) if of == kind => target,
            _ => resolve(),
        }
    }

    /// Returns the address of the peer that sent the request, if it is known.
    pub fn peer(&self) -> Option<SocketAddr> {
        *self.peer.get_or_init(|| self.head.peer())
    }

    /// Returns the size of the body by `Content-Length`, in bytes.
    pub fn body_size(&self) -> Option<u64> {
        content_length(self.headers)
    }

    /// Returns the route: what the function in the options returns, else the
    /// [matched](Route::matched) one. On a client, only a [`Route`] in the extensions counts.
    pub fn route(&self, kind: Kind, options: &HttpOptions) -> RequestRoute<'a> {
        if options.has_custom_route() {
            return self.custom_route(options);
        }
        let matched = match kind {
            Kind::Server => *self
                .matched_route
                .get_or_init(|| self.extensions.and_then(Route::matched_str)),
            // The route of an incoming request is not that of a request sent on its behalf.
            Kind::Client => self
                .extensions
                .and_then(|extensions| extensions.get::<Route>().map(Route::as_str)),
        };
        matched.map_or(RequestRoute::Unknown, RequestRoute::Borrowed)
    }

    #[cold]
    fn custom_route(&self, options: &HttpOptions) -> RequestRoute<'a> {
        let resolve = || options.custom_route(self.head);
        let id = options.id();
        let route = match self.custom_route.get_or_init(|| (id, resolve())) {
            (of, route) if *of == id => route.clone(),
            _ => resolve(),
        };
        route.map_or(RequestRoute::Unknown, RequestRoute::Owned)
    }

    /// Returns the slot in which the route is left later. It is inserted into the request if there
    /// is none. Returns `None` if the request has no extensions.
    pub fn route_slot(&self) -> Option<RouteSlot> {
        let extensions = self.extensions?;
        if let Some(slot) = extensions.get::<RouteSlot>() {
            return Some(slot.clone());
        }
        let additions = &mut *self.additions.try_borrow_mut().ok()?;
        let slot = additions.route_slot.get_or_insert_with(RouteSlot::default);
        Some(slot.clone())
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
        match self.forwarded.get_or_init(|| (id, resolve())) {
            (of, forwarded) if *of == id => Cow::Borrowed(forwarded),
            _ => Cow::Owned(resolve()),
        }
    }

    /// Returns the scheme a client has used to reach this server.
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
    fn named_server(&self, kind: Kind) -> Option<HostPort<'a>> {
        let resolve = || {
            let target = self.target(kind);
            let host = || self.known_headers().host.only();
            match kind {
                Kind::Server => server::on_server(&target, host),
                Kind::Client => server::on_client(&target, host),
            }
        };
        match *self.named_host.get_or_init(|| (kind, resolve())) {
            (of, server) if of == kind => server,
            _ => resolve(),
        }
    }

    /// Inserts an extension into the request, once all observers have started. Returns whether the
    /// request has extensions.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, extension: T) -> bool {
        let Ok(mut additions) = self.additions.try_borrow_mut() else {
            return false;
        };
        let has_extensions = self.extensions.is_some();
        if has_extensions {
            additions
                .extensions
                .get_or_insert_default()
                .insert(extension);
        }
        has_extensions
    }

    pub(crate) fn into_additions(self) -> Additions {
        self.additions.into_inner()
    }
}

impl Additions {
    /// Inserts them into the request.
    pub(crate) fn insert(self, request: &mut dyn RequestHead) {
        if self.route_slot.is_none() && self.extensions.is_none() {
            return;
        }
        let Some(extensions) = request.extensions_mut() else {
            return;
        };
        if let Some(slot) = self.route_slot {
            extensions.insert(slot);
        }
        if let Some(added) = self.extensions {
            extensions.extend(*added);
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
