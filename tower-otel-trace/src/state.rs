//! The configuration and the span backend of a layer.

use std::time::Instant;

use tower_otel_core::{GrpcCall, HttpOptions, Kind, RequestInfo};
use tower_otel_propagate::Propagation;
use tower_otel_semconv::SensitiveKeys;

use crate::{
    header_capture::HeaderCapture, opt_in::OptIns, remote_parent_policy::RemoteParentPolicy,
};

/// The state of a layer. Its services and their exchanges share it.
#[derive(Clone, Debug)]
pub(crate) struct LayerState<B> {
    pub(crate) backend: B,
    pub(crate) config: Config,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) kind: Kind,
    pub(crate) http: HttpOptions,
    pub(crate) remote_parent: RemoteParentPolicy,
    pub(crate) propagation: Propagation,
    pub(crate) sensitive_keys: SensitiveKeys,
    pub(crate) personal_data: bool,
    pub(crate) request_headers: HeaderCapture,
    pub(crate) response_headers: HeaderCapture,
    /// The captured trailers of gRPC calls.
    pub(crate) response_trailers: HeaderCapture,
    pub(crate) opt_ins: OptIns,
    pub(crate) body_sizes: bool,
    pub(crate) logs_exceptions: bool,
    pub(crate) access_log: bool,
    pub(crate) exposes_span: bool,
    /// Whether responses get a header with the ids of the span.
    pub(crate) server_timing: bool,
    /// The attribute of a gRPC status, if gRPC calls are recorded as such.
    pub(crate) grpc: Option<&'static str>,
    /// Whether spans of a server start without a policy for remote parents, captured request headers, gRPC, an access log, an
    /// exposed span and `Server-Timing`.
    pub(crate) is_plain: bool,
}

impl Config {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut config = Self {
            kind,
            http: HttpOptions::default(),
            remote_parent: RemoteParentPolicy::default(),
            propagation: Propagation::w3c(),
            sensitive_keys: SensitiveKeys::default(),
            personal_data: true,
            request_headers: HeaderCapture::default(),
            response_headers: HeaderCapture::default(),
            response_trailers: HeaderCapture::default(),
            opt_ins: OptIns::default(),
            body_sizes: false,
            logs_exceptions: false,
            access_log: false,
            exposes_span: false,
            server_timing: false,
            grpc: None,
            is_plain: false,
        };
        config.is_plain = config.starts_plain();
        config
    }

    /// Changes the options.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.is_plain = self.starts_plain();
    }

    /// Returns the value of [`is_plain`](Self::is_plain) for the other options.
    fn starts_plain(&self) -> bool {
        self.kind == Kind::Server
            && self.remote_parent.is_default()
            && self.request_headers.is_empty()
            && self.grpc.is_none()
            && !self.access_log
            && !self.exposes_span
            && !self.server_timing
    }

    /// Returns the gRPC call of a request. Returns `None` if it is none, or if gRPC calls are recorded as HTTP.
    pub(crate) fn grpc_call(&self, request: &RequestInfo<'_>, at: Instant) -> Option<GrpcCall> {
        self.grpc
            .and_then(|_| GrpcCall::start(self.kind, request.head(), at))
    }
}
