//! The layer that opens spans.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Instant,
};

use http::HeaderName;
use opentelemetry::{Context, trace::TracerProvider};
use tower_layer::Layer;
use tower_otel_core::{
    Filter, GrpcCall, HttpOptions, Kind, Observe, Observed, RequestHead, RequestInfo, Route,
    RouteSlot,
};
use tower_otel_propagate::{Propagation, RemoteParent, w3c::traceparent::TraceParent};
#[cfg(feature = "recorder")]
use tower_otel_recorder::Recorder;
use tower_otel_semconv::{KnownMethods, SensitiveKeys, TrustedProxies, attribute};

#[cfg(feature = "recorder")]
use crate::backend::RecorderBackend;
use crate::{
    access_log::AccessEntry,
    backend::{AnyBackend, EraseBackend, SpanBackend, TracerBackend, TracingBackend},
    exchange::{ExchangeExtras, TraceExchange},
    grpc::GrpcSpan,
    header_capture::HeaderCapture,
    opt_in::OptIn,
    parent::Parent,
    protocol::Protocol,
    remote_parent_policy::RemoteParentPolicy,
    request::RequestAttributes,
    state::{Config, LayerState},
};

/// The payload of a panic.
type PanicPayload = Box<dyn Any + Send>;

/// A layer that opens a span for every exchange of a service.
///
/// The span ends with the response body. See [what is recorded](crate#what-is-recorded) and
/// [when a span ends](crate#when-a-span-ends).
///
/// The layer is also an observer that [`observe`](tower_otel_core::observe) joins with others.
#[derive(Clone, Debug)]
pub struct TraceLayer<B = TracingBackend>(Arc<LayerState<B>>);

impl TraceLayer<TracingBackend> {
    /// Returns a layer that opens spans for the requests that a server receives.
    ///
    /// The parent is the span in the `traceparent` of the request, else the current span. Without either, the span
    /// starts a trace.
    pub fn server() -> Self {
        Self::new(Kind::Server)
    }

    /// Returns a layer that opens spans for the requests that a client sends, as children of the current
    /// span.
    ///
    /// Put a [`PropagateLayer`](tower_otel_propagate::PropagateLayer) inside this layer. It writes the `traceparent`
    /// header, so that the server continues the trace.
    pub fn client() -> Self {
        Self::new(Kind::Client)
    }

    fn new(kind: Kind) -> Self {
        Self(Arc::new(LayerState {
            backend: TracingBackend::default(),
            config: Config::new(kind),
        }))
    }
}

impl<B: Clone> TraceLayer<B> {
    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        Arc::make_mut(&mut self.0).config.change(change);
        self
    }

    fn with_http(self, change: impl FnOnce(HttpOptions) -> HttpOptions) -> Self {
        self.with(|config| config.http = change(config.http.clone()))
    }

    fn map_backend<C>(self, map: impl FnOnce(B) -> C) -> TraceLayer<C> {
        let LayerState { backend, config } = Arc::unwrap_or_clone(self.0);
        let backend = map(backend);
        TraceLayer(Arc::new(LayerState { backend, config }))
    }

    /// Opens OpenTelemetry spans with this provider, instead of `tracing` spans.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// let provider = SdkTracerProvider::builder().build();
    /// let layer = TraceLayer::server().tracer_provider(&provider);
    /// ```
    #[must_use]
    pub fn tracer_provider<P: TracerProvider>(
        self,
        provider: &P,
    ) -> TraceLayer<TracerBackend<P::Tracer>> {
        self.map_backend(|_| TracerBackend::new(provider))
    }

    /// Writes compact span records to this recorder, instead of opening `tracing` spans. Requires the feature
    /// `recorder`. After the recorder is dropped, the layer records no spans.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::SpanExporter;
    /// use tower_otel_trace::{Recorder, TraceLayer};
    ///
    /// # fn start(exporter: impl SpanExporter + 'static) -> std::io::Result<()> {
    /// let recorder = Recorder::builder(exporter).build()?;
    /// let layer = TraceLayer::server().recorder(&recorder);
    /// # drop(layer);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "recorder")]
    #[must_use]
    pub fn recorder(self, recorder: &Recorder) -> TraceLayer<RecorderBackend> {
        self.map_backend(|_| RecorderBackend::new(recorder))
    }

    /// Returns the same layer with one type for all backends, so that the backend can be chosen at run
    /// time.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// # let needs_subscriber = true;
    /// let layer = if needs_subscriber {
    ///     TraceLayer::server().any_backend()
    /// } else {
    ///     let provider = SdkTracerProvider::builder().build();
    ///     TraceLayer::server().tracer_provider(&provider).any_backend()
    /// };
    /// ```
    #[must_use]
    pub fn any_backend(self) -> TraceLayer<AnyBackend>
    where
        B: EraseBackend,
    {
        self.map_backend(B::erase)
    }

    /// Sets the options that all layers share: filter, route, known methods, trusted proxies and scheme. Pass the
    /// same value to the other layers of the service. It replaces the values of earlier calls of
    /// [`filter`](Self::filter), [`route`](Self::route), [`known_methods`](Self::known_methods),
    /// [`trusted_proxies`](Self::trusted_proxies) and [`https`](Self::https).
    #[must_use]
    pub fn http_options(self, options: &HttpOptions) -> Self {
        self.with_http(|_| options.clone())
    }

    /// Sets a function that decides whether a server continues the trace of the caller. Default:
    /// [`RemoteParent::Continue`].
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use tower_otel_trace::{PeerAddr, RemoteParent, TraceLayer};
    ///
    /// // A public server: every request starts a new trace, with a link to the span of the caller.
    /// let public = TraceLayer::server().remote_parent(|_| RemoteParent::Link);
    ///
    /// // A server that is also called by services of the same private network.
    /// let mixed = TraceLayer::server().remote_parent(|request| {
    ///     let peer = request.extensions().and_then(PeerAddr::of);
    ///     match peer.map(|peer| peer.ip()) {
    ///         Some(IpAddr::V4(peer)) if peer.is_private() => RemoteParent::Continue,
    ///         _ => RemoteParent::Link,
    ///     }
    /// });
    /// ```
    ///
    /// With [`RemoteParent::Continue`] and a parent-based sampler, which is the default, the sampled flag of the caller
    /// decides whether a request is recorded. Any client can then switch recording on or off. Decide by a value that a
    /// client cannot forge, such as the peer's address, and not by a header. Behind a proxy the peer is the proxy.
    /// Configure the proxy to remove `traceparent` from external requests.
    ///
    /// See [security considerations](https://www.w3.org/TR/trace-context-2/#security-considerations) of W3C Trace Context.
    #[must_use]
    pub fn remote_parent(
        self,
        policy: impl Fn(&dyn RequestHead) -> RemoteParent + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.remote_parent = RemoteParentPolicy::new(policy))
    }

    /// Sets the format in which a server reads the trace context: any `TextMapPropagator`, or a
    /// [`Propagation`]. Default: W3C Trace Context, without baggage.
    ///
    /// ```
    /// use tower_otel_trace::{Propagation, TraceLayer};
    ///
    /// let layer = TraceLayer::server().propagator(Propagation::w3c().read_baggage());
    /// ```
    ///
    /// [`PropagateLayer`](tower_otel_propagate::PropagateLayer::propagator) sets what a client sends.
    #[must_use]
    pub fn propagator(self, propagator: impl Into<Propagation>) -> Self {
        self.with(|config| config.propagation = propagator.into())
    }

    /// Sets which requests have a span. Default: all. While other requests are handled, the context of the remote parent
    /// is still current.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.with_http(|options| options.filter(filter))
    }

    /// Sets a function that returns the route of a request, for routers other than axum's. See
    /// [`HttpOptions::route`] for the default.
    #[must_use]
    pub fn route(
        self,
        route: impl Fn(&dyn RequestHead) -> Option<Route> + Send + Sync + 'static,
    ) -> Self {
        self.with_http(|options| options.route(route))
    }

    /// Sets the methods that are recorded by name. Other methods are recorded as `_OTHER`.
    ///
    /// Default: the list in `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`, else the methods of the
    /// conventions.
    #[must_use]
    pub fn known_methods(self, methods: KnownMethods) -> Self {
        self.with_http(|options| options.known_methods(methods))
    }

    /// Sets the proxies whose forwarded headers are trusted. Default: none, because any client can
    /// send these headers.
    #[must_use]
    pub fn trusted_proxies(self, proxies: TrustedProxies) -> Self {
        self.with_http(|options| options.trusted_proxies(proxies))
    }

    /// Declares that the server terminates TLS itself: the scheme is `https` unless a trusted proxy
    /// forwards another one. Default: the scheme of the request target, else `http`.
    ///
    /// A layer cannot detect TLS. An HTTP/2 request contains its scheme; an HTTP/1.1 request does not.
    #[must_use]
    pub fn https(self) -> Self {
        self.with_http(HttpOptions::https)
    }

    /// Sets the query parameters whose values are redacted. Default: the list of the conventions and common names of
    /// credentials, such as `access_token`, `code` and `password`. See [`SensitiveKeys`].
    #[must_use]
    pub fn sensitive_query_keys(self, keys: SensitiveKeys) -> Self {
        self.with(|config| config.sensitive_keys = keys)
    }

    /// Sets whether personal data is recorded: `client.address`, `client.port`,
    /// `network.peer.address`, `network.peer.port` and `user_agent.original`. Default: `true`, as the
    /// conventions recommend.
    ///
    /// `false` takes precedence over [`opt_in`](Self::opt_in). The peer of a client is always recorded, because it is a
    /// server.
    #[must_use]
    pub fn personal_data(self, recorded: bool) -> Self {
        self.with(|config| config.personal_data = recorded)
    }

    /// Records these request headers as `http.request.header.{name}`, or for a gRPC call as
    /// `rpc.request.header.{name}`. Default: none.
    ///
    /// The values of `authorization`, `proxy-authorization`, `cookie` and `set-cookie`, and values
    /// marked as sensitive, are recorded as `REDACTED`. Values that are not text are omitted. All values of a header together
    /// are cut at 4096 characters.
    ///
    /// ```
    /// use http::header;
    /// use tower_otel_trace::TraceLayer;
    ///
    /// let layer = TraceLayer::server().capture_request_headers([header::ACCEPT, header::REFERER]);
    /// ```
    #[must_use]
    pub fn capture_request_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|config| {
            config.request_headers = HeaderCapture::new(
                headers,
                attribute::request_header,
                attribute::rpc_request_header,
            );
        })
    }

    /// Records these response headers as `http.response.header.{name}`, or for a gRPC call as `rpc.response.header.{name}`
    /// and, from its trailers, as `rpc.response.trailer.{name}`. Default: none.
    ///
    /// Values are redacted and cut as for [request headers](Self::capture_request_headers).
    #[must_use]
    pub fn capture_response_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        let headers: Vec<_> = headers.into_iter().collect();
        self.with(|config| {
            config.response_trailers = HeaderCapture::new(
                headers.clone(),
                attribute::rpc_response_trailer,
                attribute::rpc_response_trailer,
            );
            config.response_headers = HeaderCapture::new(
                headers,
                attribute::response_header,
                attribute::rpc_response_header,
            );
        })
    }

    /// Records these opt-in attributes of the conventions. Default: none. They are not recorded for gRPC calls.
    ///
    /// ```
    /// use tower_otel_trace::{OptIn, TraceLayer};
    ///
    /// let layer = TraceLayer::server().opt_in([OptIn::ClientPort, OptIn::NetworkTransport]);
    /// ```
    ///
    /// Other options record headers and body sizes. The sizes of complete messages and the content of bodies are
    /// [not recorded](crate#what-is-not-recorded).
    #[must_use]
    pub fn opt_in(self, attributes: impl IntoIterator<Item = OptIn>) -> Self {
        self.with(|config| config.opt_ins.add(attributes))
    }

    /// Records body sizes in bytes: `http.request.body.size` from `Content-Length`, and for complete responses
    /// `http.response.body.size` from the counted bytes. Default: off.
    #[must_use]
    pub fn body_sizes(self) -> Self {
        self.with(|config| config.body_sizes = true)
    }

    /// Logs the error that ended an exchange as a `tracing` event of level `ERROR` in the span. Default: off, because
    /// error texts may contain secrets.
    ///
    /// The event has the target `tower_otel_trace` and the fields `exception.type`, `exception.message`, and the chain of causes
    /// (at most 16) as `exception.stacktrace`. For a panic it has only the type `panic`.
    ///
    /// See [exceptions](https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/).
    #[must_use]
    pub fn exceptions(self) -> Self {
        self.with(|config| config.logs_exceptions = true)
    }

    /// Logs one line at the end of each exchange, as a `tracing` event with the target
    /// `tower_otel_trace::access_log`. Default: off.
    ///
    /// | field | value |
    /// |---|---|
    /// | message | `request complete`, `request upgraded`, `request failed`, `request cancelled`, `request aborted` or `request panicked` |
    /// | `http.request.method`; server: `url.path`, `url.query`; client: `url.full` | as in the span: redacted and at most 4096 characters each |
    /// | `http.response.status_code` | the status code, if there was a response |
    /// | `rpc.method`, `rpc.status_code` | for a [gRPC call](Self::grpc), instead of the fields above |
    /// | `error.type` | as in the span |
    /// | `duration_ms` | milliseconds from the request to the end of the response, as in the span |
    ///
    /// The level is `WARN` for an exchange with `error.type`, and `INFO` for others. Requests that the [filter](Self::filter)
    /// excludes have no line. Requests whose trace is not sampled have one. The event is outside any `tracing` span, so that
    /// the line does not repeat the fields of the span. It is written in the OpenTelemetry context of the span, so a
    /// subscriber that adds trace ids to lines, such as that of `tower-otel-init`, adds them to these lines.
    ///
    /// ```
    /// use tower_otel_trace::TraceLayer;
    ///
    /// // RUST_LOG=info,tower_otel_trace::access_log=warn writes the lines of failed requests only.
    /// let layer = TraceLayer::server().access_log();
    /// ```
    #[must_use]
    pub fn access_log(self) -> Self {
        self.with(|config| config.access_log = true)
    }

    /// Inserts a [`SpanHandle`](crate::SpanHandle) into the extensions of each request. The handler renames the span with it, or
    /// adds attributes or links. Default: off.
    #[must_use]
    pub fn expose_span(self) -> Self {
        self.with(|config| config.exposes_span = true)
    }

    /// Appends a header with the ids of the server span to each response, so that the caller knows the trace:
    /// `server-timing: traceparent;desc="00-{trace id}-{span id}-{flags}"`. Default: off.
    ///
    /// This is the only option that changes a response. A `Server-Timing` header of the handler is not changed. For unsampled
    /// traces the flags are `00`, or `02` if the trace id is known to be random. The header is not sent:
    ///
    /// - if [`remote_parent`](Self::remote_parent) does not return [`RemoteParent::Continue`]
    /// - for requests without a span
    /// - by clients
    ///
    /// The ids disclose only which requests belong to one trace, and whether it is sampled.
    ///
    /// # In browsers
    ///
    /// A page reads the header of its own origin from `PerformanceResourceTiming.serverTiming`. For another origin the server
    /// must also send `Timing-Allow-Origin`, and `Access-Control-Expose-Headers: Server-Timing` for `fetch`.
    #[must_use]
    pub fn server_timing(self) -> Self {
        self.with(|config| config.server_timing = true)
    }

    /// Records gRPC calls with the RPC conventions: see [gRPC](crate#grpc). Other requests are recorded as HTTP. Default:
    /// off.
    #[must_use]
    pub fn grpc(self) -> Self {
        self.with(|config| config.grpc = config.grpc.or(Some(attribute::RPC_STATUS_CODE)))
    }

    /// Records [gRPC calls](Self::grpc) with their status as `rpc.response.status_code`, its name in conventions before
    /// 1.45.0. Default: `rpc.status_code`.
    #[must_use]
    pub fn rpc_response_status_code(self) -> Self {
        self.with(|config| config.grpc = Some(attribute::RPC_RESPONSE_STATUS_CODE))
    }
}

impl<B: SpanBackend> TraceLayer<B> {
    /// Opens a span. If a sampler, an id generator or another part of the backend panics, the span is not recorded, and
    /// the exchange ends as after a panic of a [function](RequestInfo::call_function) of the application.
    #[inline(always)]
    fn start_span(
        &self,
        attributes: &RequestAttributes<'_, '_>,
        parent: impl FnOnce() -> Parent,
        request: &RequestInfo<'_>,
        at: Instant,
    ) -> B::Span {
        let start = AssertUnwindSafe(|| self.0.backend.start(attributes, parent(), at));
        catch_unwind(start).unwrap_or_else(|panic| self.start_after_panic(panic, request))
    }

    /// Returns a span that is not recorded. The panic continues after all observers have started.
    #[cold]
    fn start_after_panic(&self, panic: PanicPayload, request: &RequestInfo<'_>) -> B::Span {
        let LayerState { backend, config } = &*self.0;
        request.call_function((), || resume_unwind(panic));
        backend.disabled(Parent::of(request, config))
    }

    /// Starts the exchange of a gRPC call.
    #[inline(never)]
    fn start_call(
        &self,
        call: GrpcCall,
        parent: Parent,
        request: &RequestInfo<'_>,
        at: Instant,
    ) -> TraceExchange<B> {
        let config = &self.0.config;
        let attributes = RequestAttributes::new(config, request, Protocol::Grpc, None);
        let span = self.start_span(&attributes, || parent, request, at);
        let extras = ExchangeExtras::grpc(GrpcSpan::new(call, &attributes, &span));
        let exchange = TraceExchange::opened(span, &self.0, Some(extras), request);
        match config.access_log {
            true => exchange.access_log(AccessEntry::new(&attributes, at)),
            false => exchange,
        }
    }
}

impl<B: SpanBackend> Observe for TraceLayer<B> {
    type Exchange = TraceExchange<B>;

    #[inline]
    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange {
        let config = &self.0.config;
        if config.is_plain {
            let base = Context::current();
            if let Some(parent) = config.propagation.extract_traceparent(request, &base) {
                return self.start_plain(request, (base, parent), at);
            }
        }
        self.start_any(request, at)
    }
}

impl<B: SpanBackend> TraceLayer<B> {
    /// Starts an exchange of a [plain](crate::state::Config::is_plain) configuration, in this context or below a remote parent.
    #[inline(always)]
    fn start_plain(
        &self,
        request: &RequestInfo<'_>,
        (base, parent): (Context, Option<TraceParent>),
        at: Instant,
    ) -> TraceExchange<B> {
        let config = &self.0.config;
        if !request.is_observed(config.kind, &config.http) {
            return self.skip(Parent::below(base, parent));
        }
        let Some(route) = request.route(Kind::Server, &config.http) else {
            return self.start_observed(request, Parent::below(base, parent), false, at);
        };
        let attributes = RequestAttributes::new(config, request, Protocol::Http, Some(route));
        // One call for each kind of parent, so that the compiler does not copy the enum.
        let span = match parent {
            Some(span) => self.start_span(&attributes, || Parent::Span { base, span }, request, at),
            None => self.start_span(&attributes, || Parent::Current, request, at),
        };
        TraceExchange::new(span, &self.0, None)
    }

    /// Returns the exchange of a request that the filter does not select.
    #[cold]
    fn skip(&self, parent: Parent) -> TraceExchange<B> {
        TraceExchange::new(self.0.backend.disabled(parent), &self.0, None)
    }

    /// Starts an exchange with any options.
    #[inline(never)]
    fn start_any(&self, request: &RequestInfo<'_>, at: Instant) -> TraceExchange<B> {
        let config = &self.0.config;
        let decision = Parent::decide(request, config);
        let parent = Parent::by(decision, request, config);
        let server_timing = config.server_timing && decision == Some(RemoteParent::Continue);
        match request.is_observed(config.kind, &config.http) {
            true => self.start_observed(request, parent, server_timing, at),
            false => self.skip(parent),
        }
    }

    /// Starts an exchange with any options, of a request that the filter selects.
    #[inline(never)]
    fn start_observed(
        &self,
        request: &RequestInfo<'_>,
        parent: Parent,
        server_timing: bool,
        at: Instant,
    ) -> TraceExchange<B> {
        let config = &self.0.config;
        if let Some(call) = config.grpc_call(request, at) {
            return self
                .start_call(call, parent, request, at)
                .server_timing(server_timing);
        }
        let route = request.route(config.kind, &config.http);
        let slot = match (route, config.kind) {
            (None, Kind::Server) => request.route_slot(),
            _ => None,
        };
        let outer_route = slot.as_ref().and_then(RouteSlot::get);
        let route = route.or(outer_route.as_ref().map(Route::as_str));
        let attributes = RequestAttributes::new(config, request, Protocol::Http, route);
        let span = self.start_span(&attributes, || parent, request, at);
        let extras = slot.map(|slot| ExchangeExtras::awaiting_route(slot, request.method()));
        let exchange =
            TraceExchange::opened(span, &self.0, extras, request).server_timing(server_timing);
        match config.access_log {
            true => exchange.access_log(AccessEntry::new(&attributes, at)),
            false => exchange,
        }
    }
}

impl<S, B: SpanBackend> Layer<S> for TraceLayer<B> {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.clone())
    }
}
