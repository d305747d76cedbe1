//! The layer that counts.

use std::{sync::Arc, time::Instant};

use tower_layer::Layer;
use tower_otel_core::{
    Filter, Kind, Observe, Observed, RequestHead, Route, RouteSource, Routing, content_length,
    semconv::{self, KnownMethods, Proxies},
};

use crate::{
    backend::{Backend, Facade},
    config::Config,
    exchange::{MetricsExchange, More},
    instruments::{DEFAULT_LIMIT, Instruments},
    keys::Arrival,
    labels::OwnLabels,
    names::Names,
    naming::Naming,
};

/// Counts and times every exchange of a service.
///
/// Clones of a layer, and the services it makes, share their series. The layer is an observer as
/// well, to be joined with others by [`observe`](tower_otel_core::observe).
#[derive(Clone, Debug)]
pub struct MetricsLayer<B: Backend = Facade> {
    instruments: Arc<Instruments<B>>,
}

impl MetricsLayer<Facade> {
    /// Counts the requests a server answers, in the recorder of the `metrics` facade.
    ///
    /// Install the recorder before the first request is served: what ends earlier is not counted, of
    /// which a warning tells once.
    pub fn server() -> Self {
        Self::new(Kind::Server)
    }

    /// Counts the requests a client sends, in the recorder of the `metrics` facade.
    ///
    /// Install the recorder before the first request is sent: what ends earlier is not counted, of
    /// which a warning tells once.
    pub fn client() -> Self {
        Self::new(Kind::Client)
    }

    fn new(kind: Kind) -> Self {
        Self::build(Config {
            kind,
            backend: Facade::default(),
            naming: Naming::default(),
            labels: OwnLabels::default(),
            limit: DEFAULT_LIMIT,
            filter: Filter::all(),
            route: RouteSource::default(),
            methods: KnownMethods::from_env(),
            proxies: Proxies::none(),
            https: false,
            to_head: false,
        })
    }
}

impl<B: Backend> MetricsLayer<B> {
    fn build(config: Config<B>) -> Self {
        Self {
            instruments: Arc::new(Instruments::new(config)),
        }
    }

    pub(crate) fn with(self, change: impl FnOnce(&mut Config<B>)) -> Self {
        let mut config = self.instruments.config.clone();
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
        let config = self.instruments.config.clone();
        MetricsLayer::build(config.with_backend(crate::Otel::new(provider)))
    }

    /// What metrics and labels are called. The default is [`Names::Short`].
    #[must_use]
    pub fn names(self, names: Names) -> Self {
        self.with(|config| config.naming.names = names)
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
        let config = &self.instruments.config;
        if !config.filter.observes(request) {
            return None;
        }
        let routing = match config.kind {
            Kind::Server => config.route.start(config.kind, request),
            Kind::Client => Routing::Unknown,
        };
        let request = &*request;
        let (route, late) = match routing {
            Routing::Known(route) => (Some(route), None),
            Routing::Late(slot) => (None, Some(slot)),
            Routing::Unknown => (None, None),
        };
        let more = More {
            late,
            own: config.labels.request(request),
            sent: config
                .naming
                .body_sizes
                .then(|| content_length(request.headers()))
                .flatten(),
        };
        let method = request.method();
        let mut arrival = Arrival {
            method: config.methods.name(method).map(|_| method),
            route: route.as_ref().map(Route::as_str),
            host: None,
            port: None,
            scheme: "",
            version: None,
        };
        let conventions = config.naming.names == Names::Conventions;
        let forwarded;
        let server = match config.kind {
            Kind::Server if conventions || config.naming.address => {
                forwarded = config.forwarded(request);
                if conventions {
                    arrival.scheme = config.scheme(&forwarded, request);
                    arrival.version = Some(request.version());
                }
                config
                    .naming
                    .address
                    .then(|| {
                        semconv::server::on_server(&forwarded, &request.target(), request.headers())
                    })
                    .flatten()
            }
            Kind::Server => None,
            Kind::Client => semconv::server::on_client(&request.target(), request.headers()),
        };
        if let Some(server) = server {
            arrival.host = Some(server.host);
            arrival.port = server.port;
        }
        Some(MetricsExchange::new(&self.instruments, arrival, more, at))
    }
}

impl<S, B: Backend> Layer<S> for MetricsLayer<B> {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.clone())
    }
}
