//! The layer that opens spans.

use std::{sync::Arc, time::Instant};

use http::HeaderName;
use opentelemetry::trace::TracerProvider;
use tower_layer::Layer;
use tower_otel_core::{Filter, Kind, Observe, Observed, RequestHead, Route, RouteSource, Routing};
use tower_otel_propagate::{Propagation, RemoteParent};
use tower_otel_semconv::{KnownMethods, Proxies, SensitiveKeys, attribute, rpc::StatusAttribute};

#[cfg(feature = "record")]
use crate::backend::{Record, Recorder};
use crate::{
    OptIn,
    backend::{Backend, Otel, Parent, Tracing},
    capture::Capture,
    config::{Config, RemoteParentPolicy, Told},
    exchange::TraceExchange,
    facts::{Facts, Protocol},
    grpc::Call,
};

/// Opens a span for every exchange of a service.
///
/// The layer is an observer as well, to be joined with others by
/// [`observe`](tower_otel_core::observe).
#[derive(Debug)]
pub struct TraceLayer<B = Tracing>(Arc<Told<B>>);

impl<B> Clone for TraceLayer<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl TraceLayer<Tracing> {
    /// Spans for the requests a server answers.
    ///
    /// The parent is the `traceparent` of the request; without one the span begins a trace.
    pub fn server() -> Self {
        Self::new(Kind::Server)
    }

    /// Spans for the requests a client sends, children of whatever span is current.
    ///
    /// The header that tells the server about it is written by
    /// [`PropagateLayer`](tower_otel_propagate::PropagateLayer), inside of this layer.
    pub fn client() -> Self {
        Self::new(Kind::Client)
    }

    fn new(kind: Kind) -> Self {
        Self(Arc::new(Told {
            backend: Tracing::default(),
            config: Config::new(kind),
        }))
    }
}

impl<B: Clone> TraceLayer<B> {
    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut Arc::make_mut(&mut self.0).config);
        self
    }

    fn telling<C>(self, backend: C) -> TraceLayer<C> {
        let config = Arc::unwrap_or_clone(self.0).config;
        TraceLayer(Arc::new(Told { backend, config }))
    }

    /// Opens OpenTelemetry spans with this provider, in place of `tracing` spans.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// let provider = SdkTracerProvider::builder().build();
    /// let layer = TraceLayer::server().tracer_provider(&provider);
    /// ```
    #[must_use]
    pub fn tracer_provider<P: TracerProvider>(self, provider: &P) -> TraceLayer<Otel<P::Tracer>> {
        self.telling(Otel::new(provider))
    }

    /// Leaves compact records with this recorder, which makes spans of them on a thread of its own,
    /// in place of `tracing` spans. Feature `record`.
    #[cfg(feature = "record")]
    #[must_use]
    pub fn recorder(self, recorder: &Recorder) -> TraceLayer<Record> {
        self.telling(Record::new(recorder))
    }

    /// Sets what a server does with the trace context of each request. Default: continue the trace.
    ///
    /// ```
    /// use tower_otel_propagate::RemoteParent;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// // External callers get a new trace that links to theirs.
    /// let layer = TraceLayer::server().remote_parent(|request| {
    ///     if request.headers().contains_key("x-from-inside") {
    ///         RemoteParent::Continue
    ///     } else {
    ///         RemoteParent::Link
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn remote_parent(
        self,
        policy: impl Fn(&dyn RequestHead) -> RemoteParent + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.remote_parent = RemoteParentPolicy::new(policy))
    }

    /// Sets the propagator that a server reads the trace context of a request with: any
    /// `TextMapPropagator`, or a [`Propagation`]. Default: W3C Trace Context, without baggage.
    ///
    /// ```
    /// use tower_otel_propagate::Propagation;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// let layer = TraceLayer::server().propagator(Propagation::w3c().read_baggage());
    /// ```
    ///
    /// Clients write headers with
    /// [`PropagateLayer`](tower_otel_propagate::PropagateLayer::propagator).
    #[must_use]
    pub fn propagator(self, propagator: impl Into<Propagation>) -> Self {
        self.with(|config| config.propagation = propagator.into())
    }

    /// Which requests have a span. All, by default. Where there is none, the context a request
    /// arrived with is still current for the requests made on its behalf.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.with(|config| config.filter = filter)
    }

    /// Names the route of a request where its router does not. By default that is a
    /// [`Route`] in its extensions, the matched path of axum (feature `axum`), or what a
    /// [`RouteSlot`](tower_otel_core::RouteSlot) is told. On a client it is the template of the
    /// URL, for which a [`Route`] in the extensions is the only default.
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

    /// Whose forwarded headers are believed. Nobody's, by default: anybody can write them.
    #[must_use]
    pub fn trusted_proxies(self, proxies: Proxies) -> Self {
        self.with(|config| config.proxies = proxies)
    }

    /// Whose values in a query are written as `REDACTED`, in place of the list in the conventions.
    #[must_use]
    pub fn sensitive_query_keys(self, keys: SensitiveKeys) -> Self {
        self.with(|config| config.sensitive = keys)
    }

    /// Whether spans say who asked: on a server `client.address`, `network.peer.address`,
    /// `network.peer.port` and `user_agent.original`, which the conventions recommend and the law
    /// of many countries calls personal. They do, by default. `false` is stronger than
    /// [`opt_in`](Self::opt_in): there is no `client.port` either, and no `user_agent.original` of
    /// a client. The peer of a client, which is a server, is recorded anyway.
    #[must_use]
    pub fn personal_data(self, recorded: bool) -> Self {
        self.with(|config| config.personal_data = recorded)
    }

    /// Records these request headers, as `http.request.header.{name}`, or for a gRPC call as
    /// `rpc.request.metadata.{name}`. None, by default.
    ///
    /// The values of `authorization`, `proxy-authorization`, `cookie` and `set-cookie`, and those
    /// marked as sensitive, are written as `REDACTED`. A value that is no text is left out.
    #[must_use]
    pub fn capture_request_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|config| {
            config.request_headers = Capture::new(
                headers,
                attribute::request_header,
                attribute::request_metadata,
            );
        })
    }

    /// Records these response headers, as `http.response.header.{name}`, or for a gRPC call as
    /// `rpc.response.metadata.{name}`. None, by default. What is said of
    /// [request headers](Self::capture_request_headers) is true of them.
    #[must_use]
    pub fn capture_response_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|config| {
            config.response_headers = Capture::new(
                headers,
                attribute::response_header,
                attribute::response_metadata,
            );
        })
    }

    /// Records these attributes, too, which the conventions call opt-in. None, by default. For gRPC
    /// calls there are none of them.
    ///
    /// ```
    /// use tower_otel_trace::{OptIn, TraceLayer};
    ///
    /// let layer = TraceLayer::server().opt_in([OptIn::ClientPort, OptIn::NetworkTransport]);
    /// ```
    ///
    /// Headers and the sizes of bodies are opt-in as well, and have options of their own. The
    /// sizes of whole messages and the content of bodies are
    /// [not offered](crate#what-is-not-recorded).
    #[must_use]
    pub fn opt_in(self, attributes: impl IntoIterator<Item = OptIn>) -> Self {
        self.with(|config| config.opt_ins.add(attributes))
    }

    /// Records the size of bodies, in bytes: `http.request.body.size` from `Content-Length`, and
    /// `http.response.body.size` as it was counted, of responses that are complete. Off by default.
    #[must_use]
    pub fn body_sizes(self) -> Self {
        self.with(|config| config.body_sizes = true)
    }

    /// Logs the error that ended an exchange, as a `tracing` event of level `ERROR` inside of the
    /// span: `exception.type`, `exception.message`, and the chain of its causes as
    /// `exception.stacktrace`; for a panic the type `panic` alone. Off by default, because such
    /// texts may quote what is secret.
    #[must_use]
    pub fn exceptions(self) -> Self {
        self.with(|config| config.exceptions = true)
    }

    /// Leaves a [`SpanHandle`](crate::SpanHandle) in the extensions of each request, for handlers
    /// that rename the span, add attributes or links. Off by default.
    #[must_use]
    pub fn expose_span(self) -> Self {
        self.with(|config| config.exposes_span = true)
    }

    /// Tells gRPC calls by the conventions for gRPC, in place of those for HTTP: see
    /// [gRPC](crate#grpc). What is no call by its `Content-Type` stays HTTP.
    #[must_use]
    pub fn grpc(self) -> Self {
        self.with(|config| config.grpc = Some(config.grpc.unwrap_or_default()))
    }

    /// Tells [gRPC calls](Self::grpc), with their status in this attribute. The conventions are
    /// renaming it; by default it has the name of the latest release.
    ///
    /// ```
    /// use tower_otel_semconv::rpc::StatusAttribute;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// let layer = TraceLayer::server().grpc_status_attribute(StatusAttribute::RpcStatusCode);
    /// ```
    #[must_use]
    pub fn grpc_status_attribute(self, attribute: StatusAttribute) -> Self {
        self.with(|config| config.grpc = Some(attribute))
    }

    /// The server speaks TLS itself, so the scheme is `https` unless a trusted proxy says
    /// otherwise.
    #[must_use]
    pub fn https(self) -> Self {
        self.with(|config| config.https = true)
    }
}

impl<B: Backend> Observe for TraceLayer<B> {
    type Exchange = TraceExchange<B>;

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        let Told { backend, config } = &*self.0;
        let parent = match config.kind {
            Kind::Server => config.parent(request),
            Kind::Client => Parent::Current,
        };
        if !config.filter.observes(request) {
            return TraceExchange::filtered(backend.none(parent), &self.0);
        }
        if let Some(call) = config.call(request, at) {
            let facts = Facts::new(config, request, Protocol::Grpc, None);
            let span = backend.start(&facts, parent, at);
            let call = Call::new(call, &facts, &span);
            return TraceExchange::of_call(span, &self.0, call, request);
        }
        let routing = config.route.start(config.kind, request);
        let told;
        let route = match &routing {
            Routing::Known(route) => Some(route),
            Routing::Late(slot) => {
                told = slot.get();
                told.as_ref()
            }
            Routing::Unknown => None,
        };
        let facts = Facts::new(config, request, Protocol::Http, route);
        let span = backend.start(&facts, parent, at);
        TraceExchange::new(span, &self.0, routing, request)
    }
}

impl<S, B: Backend> Layer<S> for TraceLayer<B> {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.clone())
    }
}
