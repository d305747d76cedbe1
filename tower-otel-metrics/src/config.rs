//! What a layer was told.

use http::Method;
use tower_otel_core::{Filter, Kind, RequestHead, RouteSource};
use tower_otel_semconv::{self as semconv, Endpoint, Forwarded, KnownMethods, Proxies};

use crate::{
    custom_labels::CustomLabels,
    keys::{Arrival, Asked},
    names::Names,
    naming::Naming,
};

#[derive(Clone, Debug)]
pub(crate) struct Config<B> {
    pub(crate) kind: Kind,
    pub(crate) backend: B,
    pub(crate) naming: Naming,
    pub(crate) labels: CustomLabels,
    pub(crate) limit: usize,
    pub(crate) filter: Filter,
    pub(crate) route: RouteSource,
    pub(crate) methods: KnownMethods,
    pub(crate) proxies: Proxies,
    pub(crate) https: bool,
    /// Whether the duration ends with the head of the response.
    pub(crate) to_head: bool,
}

impl<B> Config<B> {
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn with_backend<C>(self, backend: C) -> Config<C> {
        let Self {
            kind,
            backend: _,
            naming,
            labels,
            limit,
            filter,
            route,
            methods,
            proxies,
            https,
            to_head,
        } = self;
        Config {
            kind,
            backend,
            naming,
            labels,
            limit,
            filter,
            route,
            methods,
            proxies,
            https,
            to_head,
        }
    }

    /// What the gauge of exchanges in flight tells apart.
    pub(crate) fn in_flight<'a>(
        &self,
        arrival: Arrival<&'a Method, &'a str>,
    ) -> Arrival<&'a Method, &'a str> {
        let no_method = self.kind == Kind::Client && self.naming.names == Names::Short;
        Arrival {
            method: arrival.method.filter(|_| !no_method),
            route: arrival.route.filter(|_| self.naming.in_flight_by_route),
            asked: arrival.asked.map(|asked| Asked {
                version: None,
                ..asked
            }),
        }
    }

    /// Whether a server tells apart more than method and route.
    pub(crate) fn asks_more(&self) -> bool {
        self.naming.names == Names::Conventions || self.naming.server_address
    }

    pub(crate) fn asked_on_server<'a>(
        &self,
        request: &'a dyn RequestHead,
        forwarded: &'a Forwarded<'a>,
    ) -> Asked<&'a str> {
        let conventions = self.naming.names == Names::Conventions;
        let address = self
            .naming
            .server_address
            .then(|| semconv::server::on_server(forwarded, &request.target(), request.headers()));
        Asked {
            scheme: if conventions {
                self.scheme(forwarded, request)
            } else {
                ""
            },
            version: conventions.then(|| request.version()),
            ..Asked::at(address.flatten())
        }
    }

    pub(crate) fn forwarded<'a>(&self, request: &'a dyn RequestHead) -> Forwarded<'a> {
        let peer = request.peer().map(Endpoint::from);
        self.proxies.believe(request.headers(), peer)
    }

    pub(crate) fn scheme(
        &self,
        forwarded: &Forwarded<'_>,
        request: &dyn RequestHead,
    ) -> &'static str {
        let connection = self.https.then_some("https");
        semconv::scheme::on_server(forwarded, connection, &request.target())
    }
}
