//! The configuration of a layer.

use std::borrow::Cow;

use tower_otel_core::{HttpOptions, Kind, RequestInfo};

use crate::{
    custom_labels::CustomLabels,
    label_text::{MAX_VALUE_LENGTH, cut},
    names::Names,
    naming::Naming,
    start_key::{BorrowedStartKey, EndpointKey, StartKey},
};

/// The default limit of series per metric, without the overflow series.
const DEFAULT_LIMIT: usize = 2_000;

/// Host and port of a server.
type Server<'a> = (Cow<'a, str>, Option<u16>);

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) kind: Kind,
    pub(crate) http: HttpOptions,
    pub(crate) naming: Naming,
    pub(crate) labels: CustomLabels,
    pub(crate) limit: usize,
    /// Whether the duration ends with the head of the response.
    pub(crate) duration_to_head: bool,
    /// Whether gRPC calls have separate metrics.
    pub(crate) grpc: bool,
}

impl Config {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            http: HttpOptions::default(),
            naming: Naming::default(),
            labels: CustomLabels::default(),
            limit: DEFAULT_LIMIT,
            duration_to_head: false,
            grpc: false,
        }
    }

    /// Returns the key of an exchange that starts. `server` is the [recorded server](Self::recorded_server).
    #[inline(always)]
    pub(crate) fn start_key<'k>(
        &self,
        request: &'k RequestInfo<'_>,
        route: Option<&'k str>,
        server: Option<&'k Server<'_>>,
    ) -> BorrowedStartKey<'k> {
        let has_endpoint = self.kind == Kind::Client || self.distinguishes_endpoints();
        StartKey {
            method: Some(request.method()),
            route,
            endpoint: has_endpoint.then(|| self.endpoint_key(request, server)),
        }
    }

    /// Returns host and port of the requested server. Returns `None` if the metrics do not have them as labels.
    #[inline]
    pub(crate) fn recorded_server<'a>(&self, request: &RequestInfo<'a>) -> Option<Server<'a>> {
        let (host, port) = match self.kind {
            Kind::Server if !self.naming.server_address => None,
            kind => request.server(kind, &self.http),
        }?;
        Some((cut(host, MAX_VALUE_LENGTH), port))
    }

    fn endpoint_key<'s>(
        &self,
        request: &RequestInfo<'_>,
        server: Option<&'s Server<'_>>,
    ) -> EndpointKey<&'s str> {
        let is_server_by_conventions =
            self.kind == Kind::Server && self.naming.names == Names::Conventions;
        EndpointKey {
            host: server.map(|(host, _)| &**host),
            port: server.and_then(|(_, port)| *port),
            scheme: if is_server_by_conventions {
                request.server_scheme(&self.http)
            } else {
                ""
            },
            version: is_server_by_conventions.then(|| request.version()),
        }
    }

    /// Returns whether the layer reads only method and route of each request.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind == Kind::Server
            && !self.distinguishes_endpoints()
            && !self.naming.body_sizes
            && !self.grpc
            && self.labels.is_empty()
    }

    fn distinguishes_endpoints(&self) -> bool {
        self.naming.names == Names::Conventions || self.naming.server_address
    }

    /// Returns the key of the in-flight gauge.
    pub(crate) fn in_flight_key<'a>(&self, start: BorrowedStartKey<'a>) -> BorrowedStartKey<'a> {
        let has_no_method = self.kind == Kind::Client && self.naming.names == Names::Short;
        StartKey {
            method: start.method.filter(|_| !has_no_method),
            route: start.route.filter(|_| self.naming.in_flight_by_route),
            endpoint: start.endpoint.map(|endpoint| EndpointKey {
                version: None,
                ..endpoint
            }),
        }
    }
}
