//! What a layer was told.

use std::{fmt, sync::Arc, time::Instant};

use opentelemetry::Context;

use tower_otel_core::{Filter, GrpcCall, Kind, RequestHead, RouteSource};
use tower_otel_propagate::{Format, Trust};
use tower_otel_semconv::{KnownMethods, SensitiveKeys, TrustedProxies, rpc::StatusAttribute};

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
    pub(crate) trust: TrustRule,
    pub(crate) format: Format,
    pub(crate) route: RouteSource,
    pub(crate) methods: KnownMethods,
    pub(crate) proxies: TrustedProxies,
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
            trust: TrustRule::default(),
            format: Format::w3c(),
            route: RouteSource::default(),
            methods: KnownMethods::from_env(),
            proxies: TrustedProxies::none(),
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
        let (format, headers) = (&self.format, request.headers());
        match self.trust.of(request) {
            Trust::Continue => Context::map_current(|current| format.extracted(headers, current))
                .map_or(Parent::Current, Parent::Remote),
            Trust::Link => format
                .extract_span_context(headers)
                .map_or(Parent::Current, |remote| Parent::Root(Some(remote))),
            _ => Parent::Root(None),
        }
    }
}

/// Decides about the trace context of each request.
#[derive(Clone, Default)]
pub(crate) struct TrustRule(Option<TrustFn>);

type TrustFn = Arc<dyn Fn(&dyn RequestHead) -> Trust + Send + Sync>;

impl TrustRule {
    pub(crate) fn new(trust: impl Fn(&dyn RequestHead) -> Trust + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(trust)))
    }

    fn of(&self, request: &dyn RequestHead) -> Trust {
        match &self.0 {
            None => Trust::default(),
            Some(trust) => trust(request),
        }
    }
}

impl fmt::Debug for TrustRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Trust::Continue",
            Some(_) => "TrustRule",
        })
    }
}
