//! The layer that counts.

use std::{sync::Arc, time::Instant};

use tower_layer::Layer;
use tower_otel_core::{
    Filter, Kind, Observe, Observed, RequestHead, Route, RouteSource, Routing,
    semconv::{self, Endpoint, KnownMethods, Proxies, protocol},
};

use crate::{
    backend::{Backend, Facade},
    exchange::{MetricsExchange, Subject},
    instruments::{DEFAULT_LIMIT, Instruments},
    names::Names,
};

/// Counts and times every exchange of a service.
///
/// Clones of a layer, and the services it makes, share their series. The layer is an observer as
/// well, to be joined with others by [`observe`](tower_otel_core::observe).
#[derive(Clone, Debug)]
pub struct MetricsLayer<B: Backend = Facade> {
    instruments: Arc<Instruments<B>>,
    config: Arc<Config<B>>,
}

#[derive(Clone, Debug)]
struct Config<B> {
    kind: Kind,
    backend: B,
    names: Names,
    limit: usize,
    filter: Filter,
    route: RouteSource,
    methods: KnownMethods,
    proxies: Proxies,
    https: bool,
}

impl MetricsLayer<Facade> {
    /// Counts the requests a server answers, in the recorder of the `metrics` facade.
    ///
    /// Install the recorder before the first request is served: its handles are kept.
    pub fn server() -> Self {
        Self::new(Kind::Server)
    }

    /// Counts the requests a client sends, in the recorder of the `metrics` facade.
    ///
    /// Install the recorder before the first request is sent: its handles are kept.
    pub fn client() -> Self {
        Self::new(Kind::Client)
    }

    fn new(kind: Kind) -> Self {
        Self::build(Config {
            kind,
            backend: Facade::default(),
            names: Names::default(),
            limit: DEFAULT_LIMIT,
            filter: Filter::all(),
            route: RouteSource::default(),
            methods: KnownMethods::from_env(),
            proxies: Proxies::none(),
            https: false,
        })
    }
}

impl<B: Backend> MetricsLayer<B> {
    fn build(config: Config<B>) -> Self {
        let Config {
            kind,
            backend,
            names,
            limit,
            ..
        } = &config;
        Self {
            instruments: Arc::new(Instruments::new(*kind, *names, *limit, backend.clone())),
            config: Arc::new(config),
        }
    }

    fn with(self, change: impl FnOnce(&mut Config<B>)) -> Self {
        let mut config = Arc::unwrap_or_clone(self.config);
        change(&mut config);
        Self::build(config)
    }

    /// Records with a meter of this provider, in place of the `metrics` facade.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::SdkMeterProvider;
    /// use tower_otel_metrics::{MetricsLayer, Names};
    ///
    /// let provider = SdkMeterProvider::builder().build(); // .with_periodic_exporter(..)
    /// let layer = MetricsLayer::server()
    ///     .names(Names::Conventions)
    ///     .meter_provider(&provider);
    /// ```
    #[cfg(feature = "opentelemetry")]
    #[must_use]
    pub fn meter_provider(
        self,
        provider: &impl opentelemetry::metrics::MeterProvider,
    ) -> MetricsLayer<crate::Otel> {
        let Config {
            kind,
            backend: _,
            names,
            limit,
            filter,
            route,
            methods,
            proxies,
            https,
        } = Arc::unwrap_or_clone(self.config);
        MetricsLayer::build(Config {
            kind,
            backend: crate::Otel::new(provider),
            names,
            limit,
            filter,
            route,
            methods,
            proxies,
            https,
        })
    }

    /// What metrics and labels are called. The default is [`Names::Short`].
    #[must_use]
    pub fn names(self, names: Names) -> Self {
        self.with(|config| config.names = names)
    }

    /// How many series of each metric there may be, 2000 by default. Exchanges beyond them are
    /// counted in one series more, whose labels say `overflow`.
    #[must_use]
    pub fn series_limit(self, limit: usize) -> Self {
        self.with(|config| config.limit = limit)
    }

    /// Which requests are counted. All, by default.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.with(|config| config.filter = filter)
    }

    /// Names the route of a request where its router does not. By default that is a
    /// [`Route`] in its extensions, the matched path of axum (feature `axum`), or what a
    /// [`RouteSlot`](tower_otel_core::RouteSlot) is told.
    #[must_use]
    pub fn route(
        self,
        route: impl Fn(&dyn RequestHead) -> Option<Route> + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.route = RouteSource::new(route))
    }

    /// Which methods are known by name; others are `_OTHER`. By default the list in
    /// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`, else those of the conventions.
    #[must_use]
    pub fn known_methods(self, methods: KnownMethods) -> Self {
        self.with(|config| config.methods = methods)
    }

    /// Whose forwarded headers are believed when they name the scheme. Nobody's, by default.
    #[must_use]
    pub fn trusted_proxies(self, proxies: Proxies) -> Self {
        self.with(|config| config.proxies = proxies)
    }

    /// The server speaks TLS itself, so the scheme is `https` unless a trusted proxy says
    /// otherwise.
    #[must_use]
    pub fn https(self) -> Self {
        self.with(|config| config.https = true)
    }
}

impl<B: Backend> Observe for MetricsLayer<B> {
    type Exchange = Option<MetricsExchange<B>>;

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        let config = &*self.config;
        if !config.filter.observes(request) {
            return None;
        }
        let routing = match config.kind {
            Kind::Server => config.route.start(config.kind, request),
            Kind::Client => Routing::Unknown,
        };
        let mut subject = Subject {
            methods: config.methods.clone(),
            method: request.method().clone(),
            scheme: "",
            port: None,
            version: None,
            routing,
        };
        match config.kind {
            Kind::Server => {
                if config.names == Names::Conventions {
                    subject.scheme = config.scheme(request);
                    subject.version = protocol::version(request.version());
                }
                Some(MetricsExchange::new(&self.instruments, subject, None, at))
            }
            Kind::Client => {
                let server = semconv::server::on_client(&request.target(), request.headers());
                subject.port = server.and_then(|server| server.port);
                let host = server.map_or(UNKNOWN_HOST, |server| server.host);
                Some(MetricsExchange::new(
                    &self.instruments,
                    subject,
                    Some(host),
                    at,
                ))
            }
        }
    }
}

/// The host of a client's request that names none.
const UNKNOWN_HOST: &str = "unknown";

impl<B> Config<B> {
    fn scheme(&self, request: &dyn RequestHead) -> &'static str {
        let peer = request.peer().map(Endpoint::from);
        let forwarded = self.proxies.believe(request.headers(), peer);
        let connection = self.https.then_some("https");
        semconv::scheme::on_server(&forwarded, connection, &request.target())
    }
}

impl<S, B: Backend> Layer<S> for MetricsLayer<B> {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.clone())
    }
}
