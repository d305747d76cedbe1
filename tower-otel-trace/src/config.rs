//! What a layer was told.

use std::{fmt, sync::Arc, time::Instant};

use opentelemetry::Context;

use tower_otel_core::{Filter, GrpcCall, Kind, RequestHead, RouteSource};
use tower_otel_propagate::{LocatedHeaders, Propagation, RemoteParent};
use tower_otel_semconv::{KnownMethods, Proxies, SensitiveKeys, rpc::StatusAttribute};

use crate::{backend::Parent, capture::Capture, opt_in::OptIns};

/// What a layer was told, and whom it tells: one thing, because it is shared with every service and
/// every exchange.
#[derive(Clone, Debug)]
pub(crate) struct Told<B> {
    pub(crate) backend: B,
    pub(crate) config: Config,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) kind: Kind,
    pub(crate) filter: Filter,
    pub(crate) remote_parent: RemoteParentPolicy,
    pub(crate) propagation: Propagation,
    pub(crate) route: RouteSource,
    pub(crate) methods: KnownMethods,
    pub(crate) proxies: Proxies,
    pub(crate) sensitive: SensitiveKeys,
    pub(crate) personal_data: bool,
    pub(crate) https: bool,
    pub(crate) request_headers: Capture,
    pub(crate) response_headers: Capture,
    pub(crate) opt_ins: OptIns,
    pub(crate) body_sizes: bool,
    pub(crate) exceptions: bool,
    pub(crate) exposes_span: bool,
    /// Where the status of a gRPC call belongs, if calls are told as such.
    pub(crate) grpc: Option<StatusAttribute>,
}

impl Config {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            filter: Filter::all(),
            remote_parent: RemoteParentPolicy::default(),
            propagation: Propagation::w3c(),
            route: RouteSource::default(),
            methods: KnownMethods::from_env(),
            proxies: Proxies::none(),
            sensitive: SensitiveKeys::default(),
            personal_data: true,
            https: false,
            request_headers: Capture::default(),
            response_headers: Capture::default(),
            opt_ins: OptIns::default(),
            body_sizes: false,
            exceptions: false,
            exposes_span: false,
            grpc: None,
        }
    }

    /// The gRPC call that a request is, if calls are told as such.
    pub(crate) fn call(&self, request: &dyn RequestHead, at: Instant) -> Option<GrpcCall> {
        self.grpc
            .and_then(|_| GrpcCall::start(self.kind, request, at))
    }

    /// What the span of an incoming request is the child of.
    pub(crate) fn parent(&self, request: &dyn RequestHead) -> Parent {
        let propagation = &self.propagation;
        let headers = LocatedHeaders::new(request.headers());
        match self.remote_parent.decide(request) {
            RemoteParent::Continue => {
                Context::map_current(|current| propagation.extract(&headers, current))
                    .map_or(Parent::Current, Parent::Remote)
            }
            RemoteParent::Link => propagation
                .extract_span_context(&headers)
                .map_or(Parent::Current, |remote| Parent::Root(Some(remote))),
            _ => Parent::Root(None),
        }
    }
}

/// Decides what to do with the trace context of each request.
#[derive(Clone, Default)]
pub(crate) struct RemoteParentPolicy(Option<RemoteParentFn>);

type RemoteParentFn = Arc<dyn Fn(&dyn RequestHead) -> RemoteParent + Send + Sync>;

impl RemoteParentPolicy {
    pub(crate) fn new(
        policy: impl Fn(&dyn RequestHead) -> RemoteParent + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(policy)))
    }

    fn decide(&self, request: &dyn RequestHead) -> RemoteParent {
        match &self.0 {
            None => RemoteParent::default(),
            Some(policy) => policy(request),
        }
    }
}

impl fmt::Debug for RemoteParentPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "RemoteParent::Continue",
            Some(_) => "RemoteParentPolicy",
        })
    }
}
