//! The layer that counts.

use std::{sync::Arc, time::Instant};

use tower_layer::Layer;
use tower_otel_core::{
    Filter, Kind, Observe, Observed, RequestHead, Route, RouteSlot, RouteSource,
};
use tower_otel_semconv::{self as semconv, KnownMethods, Proxies, content_length};

use crate::{
    backend::{MetricsBackend, facade::FacadeMetrics},
    config::Config,
    custom_labels::CustomLabels,
    exchange::{MetricsExchange, More},
    instruments::{Arrived, DEFAULT_LIMIT, Instruments},
    keys::{Arrival, Asked},
    names::Names,
    naming::Naming,
};

/// Counts and times every exchange of a service.
///
/// Clones of a layer, and the services it makes, share their series. The layer is an observer as
/// well, to be joined with others by [`observe`](tower_otel_core::observe).
#[derive(Clone, Debug)]
pub struct MetricsLayer<B: MetricsBackend = FacadeMetrics> {
    instruments: Arc<Instruments<B>>,
}

impl MetricsLayer<FacadeMetrics> {
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
            backend: FacadeMetrics::default(),
            naming: Naming::default(),
            labels: CustomLabels::default(),
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

impl<B: MetricsBackend> MetricsLayer<B> {
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
    ) -> MetricsLayer<crate::backend::opentelemetry::OtelMetrics> {
        let config = self.instruments.config.clone();
        MetricsLayer::build(
            config.with_backend(crate::backend::opentelemetry::OtelMetrics::new(provider)),
        )
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

impl<B: MetricsBackend> Observe for MetricsLayer<B> {
    type Exchange = Option<MetricsExchange<B>>;

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        let instruments = &self.instruments;
        let config = &instruments.config;
        if !config.filter.observes(request) {
            return None;
        }
        // Whatever is the caller's code comes before: if it panics, nothing is in flight.
        let own = instruments.asked_of_request(request);
        let sizes = config.naming.body_sizes;
        let sent = sizes.then(|| content_length(request.headers())).flatten();
        let routed = match config.kind {
            Kind::Server => config.route.show(request, |route| {
                route.map(|route| self.arrive(request, Some(route)))
            }),
            Kind::Client => Some(self.arrive(request, None)),
        };
        let (arrived, late) = match routed {
            Some(arrived) => (arrived, None),
            None => {
                let late = RouteSlot::of(request);
                (self.arrive(request, None), late)
            }
        };
        let more = More { late, own, sent };
        Some(MetricsExchange::new(instruments, arrived, more, at))
    }
}

impl<B: MetricsBackend> MetricsLayer<B> {
    /// Counts an exchange in.
    fn arrive(&self, request: &dyn RequestHead, route: Option<&str>) -> Arrived<B> {
        let config = &self.instruments.config;
        let forwarded;
        let asked = match config.kind {
            Kind::Server if config.asks_more() => {
                forwarded = config.forwarded(request);
                Some(config.asked_on_server(request, &forwarded))
            }
            Kind::Server => None,
            Kind::Client => {
                let server = semconv::server::on_client(&request.target(), request.headers());
                Some(Asked::at(server))
            }
        };
        let arrival = Arrival {
            method: Some(request.method()),
            route,
            asked,
        };
        self.instruments.arrive(arrival)
    }
}

impl<S, B: MetricsBackend> Layer<S> for MetricsLayer<B> {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.clone())
    }
}
