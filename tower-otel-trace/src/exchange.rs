//! The exchange of a [`TraceLayer`](crate::TraceLayer): one span from the request to the end of the response.

use std::{
    cmp::Ordering,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Instant,
};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use opentelemetry::{Context, trace::TraceContextExt};
use tower_otel_core::{
    End, Exchange, Kind, LongLived, PeerAddr, RequestInfo, ResponseHead, RouteSlot,
};
use tower_otel_semconv::{Endpoint, attribute, protocol_version, span_name, transport};

use crate::{
    access_log::{AccessEnd, AccessEntry},
    backend::{LateAttribute, LateValue, OpenSpan, SpanBackend},
    connection, exception,
    grpc::GrpcSpan,
    opt_in::OptIn,
    protocol::Protocol,
    server_timing,
    span_handle::SpanHandle,
    state::LayerState,
    text_limit::cut,
    thread_exit,
};

/// One exchange as a span.
#[derive(Debug)]
pub struct TraceExchange<B: SpanBackend> {
    span: B::Span,
    state: Arc<LayerState<B>>,
    status: Option<StatusCode>,
    /// Whether the response gets a header with the ids of the span.
    has_server_timing: bool,
    has_ended: bool,
    body_bytes: u64,
    // Boxed, because few exchanges have extras and every exchange is moved several times.
    extras: Option<Box<ExchangeExtras>>,
}

/// The state of options and protocols that most exchanges do not use.
#[derive(Debug, Default)]
pub(crate) struct ExchangeExtras {
    grpc: Option<GrpcSpan>,
    handle: Option<SpanHandle>,
    late_route: Option<(RouteSlot, Method)>,
    access: Option<AccessEntry>,
}

impl ExchangeExtras {
    /// Returns extras that read the route from the slot at the end of the exchange.
    #[cold]
    pub(crate) fn awaiting_route(slot: RouteSlot, method: &Method) -> Box<Self> {
        Box::new(Self {
            late_route: Some((slot, method.clone())),
            ..Self::default()
        })
    }

    /// Returns extras that record a gRPC call.
    pub(crate) fn grpc(grpc: GrpcSpan) -> Box<Self> {
        Box::new(Self {
            grpc: Some(grpc),
            ..Self::default()
        })
    }
}

impl<B: SpanBackend> TraceExchange<B> {
    /// Returns the exchange of a request whose span is open. Copies captured headers and exposes the span to the handler.
    #[inline(always)]
    pub(crate) fn opened(
        span: B::Span,
        state: &Arc<LayerState<B>>,
        mut extras: Option<Box<ExchangeExtras>>,
        request: &RequestInfo<'_>,
    ) -> Self {
        let config = &state.config;
        config
            .request_headers
            .copy(request.headers(), protocol(extras.as_deref()), || {
                span.context()
            });
        if config.exposes_span {
            expose(&span, request, &mut extras);
        }
        Self::new(span, state, extras)
    }

    /// Returns an exchange with this span.
    #[inline]
    pub(crate) fn new(
        span: B::Span,
        state: &Arc<LayerState<B>>,
        extras: Option<Box<ExchangeExtras>>,
    ) -> Self {
        Self {
            span,
            state: Arc::clone(state),
            status: None,
            has_server_timing: false,
            has_ended: false,
            body_bytes: 0,
            extras,
        }
    }

    /// Returns the exchange. If `is_sent` is set, its response gets a header with the ids of the span.
    #[inline]
    pub(crate) const fn server_timing(mut self, is_sent: bool) -> Self {
        self.has_server_timing = is_sent;
        self
    }

    /// Returns the exchange. If there is an entry, it writes a line to the access log.
    #[inline]
    pub(crate) fn access_log(mut self, entry: Option<AccessEntry>) -> Self {
        if let Some(entry) = entry {
            self.extras.get_or_insert_default().access = Some(entry);
        }
        self
    }

    /// Writes the line to the access log. The `tracing` span is exited first, because it may last until its last exit.
    #[cold]
    fn write_access(&mut self, entry: &AccessEntry, end: &End<'_>, at: Instant) {
        let context = thread_exit::unless_exiting(|| {
            let _entered = self.span.enter();
            Context::current()
        });
        let _attached = context.map(Context::attach);
        let grpc = self
            .extras
            .as_ref()
            .and_then(|extras| extras.grpc.as_ref())
            .map(|grpc| grpc.outcome(end, at));
        let error = match &grpc {
            Some(outcome) => outcome.error_type,
            None => end.error_type(self.state.config.kind, self.status),
        };
        let outcome = AccessEnd {
            status: self.status.filter(|_| grpc.is_none()),
            rpc_status: grpc.map(|outcome| outcome.status()),
            error,
        };
        entry.write(end, at, outcome);
    }

    /// Reads the status of a gRPC call whose span is not recorded, for the access log.
    #[inline]
    fn read_grpc_of_access_log(&mut self, response: &dyn ResponseHead) {
        if let Some(extras) = &mut self.extras
            && extras.access.is_some()
            && let Some(grpc) = &mut extras.grpc
        {
            grpc.response(response);
        }
    }

    /// Records the response to a gRPC call. Returns `false` if the exchange is not a gRPC call.
    #[cold]
    fn grpc_response(&mut self, response: &dyn ResponseHead) -> bool {
        let grpc = self.extras.as_mut().and_then(|extras| extras.grpc.as_mut());
        grpc.map(|grpc| grpc.response(response)).is_some()
    }

    /// Returns the header of the response. The context of an unrecorded span can be read only while it is entered.
    #[cold]
    fn server_timing_header(&mut self) -> Option<Box<(HeaderName, HeaderValue)>> {
        let _entered = self.enter();
        Context::map_current(server_timing::header)
    }

    fn protocol(&self) -> Protocol {
        protocol(self.extras.as_deref())
    }

    /// Returns whether the handler has renamed the span.
    fn is_renamed(&self) -> bool {
        let handle = self
            .extras
            .as_ref()
            .and_then(|extras| extras.handle.as_ref());
        handle.is_some_and(SpanHandle::is_renamed)
    }

    /// Records the route that was set after the start, and renames the span.
    #[cold]
    fn record_late_route(&mut self) {
        let late_route = self
            .extras
            .as_mut()
            .and_then(|extras| extras.late_route.take());
        let Some((slot, method)) = late_route else {
            return;
        };
        let Some(route) = slot.get() else {
            return;
        };
        let route = cut(route.as_str());
        self.span.set(attribute::HTTP_ROUTE, LateValue::Text(route));
        if self.is_renamed() {
            return;
        }
        if let Some(context) = self.span.context() {
            let methods = self.state.config.http.methods();
            let name = span_name(methods.name(&method), Some(route));
            context.span().update_name(name.into_owned());
        }
    }

    #[inline(never)]
    fn client_response(&mut self, response: &dyn ResponseHead) {
        let peer = PeerAddr::of(response.extensions()).map(Endpoint::from);
        let address = peer.map(|peer| peer.address.to_string());
        let address = (
            attribute::NETWORK_PEER_ADDRESS,
            address.as_deref().map(LateValue::Text),
        );
        let port = peer.and_then(|peer| peer.port).map(i64::from);
        let port = (attribute::NETWORK_PEER_PORT, port.map(LateValue::Int));
        if self.protocol() == Protocol::Grpc {
            if peer.is_some() {
                self.span.set_all([address, port]);
            }
            return;
        }
        let version = response.version();
        if peer.is_none() {
            let version = protocol_version(version).map(LateValue::Static);
            let version = (attribute::NETWORK_PROTOCOL_VERSION, version);
            self.span.set_all([status_code(response), version]);
            return;
        }
        let opt_ins = self.state.config.opt_ins;
        let has_transport = opt_ins.contains(OptIn::NetworkTransport);
        let transport = transport(version).filter(|_| has_transport);
        let version = protocol_version(version);
        self.span.set_all([
            status_code(response),
            (
                attribute::NETWORK_PROTOCOL_VERSION,
                version.map(LateValue::Static),
            ),
            (
                attribute::NETWORK_TRANSPORT,
                transport.map(LateValue::Static),
            ),
            address,
            port,
        ]);
    }

    /// Records the attributes of the end of an HTTP exchange, and returns its error.
    #[inline(always)]
    fn http_end(&mut self, end: &End<'_>) -> Option<&'static str> {
        if self.extras.is_some() {
            self.record_late_route();
        }
        let config = &self.state.config;
        if config.body_sizes && matches!(end, End::Complete { .. }) {
            let bytes = i64::try_from(self.body_bytes).unwrap_or(i64::MAX);
            self.span
                .set(attribute::HTTP_RESPONSE_BODY_SIZE, LateValue::Int(bytes));
        }
        end.error_type(config.kind, self.status)
    }
}

fn protocol(extras: Option<&ExchangeExtras>) -> Protocol {
    match extras.and_then(|extras| extras.grpc.as_ref()) {
        None => Protocol::Http,
        Some(_) => Protocol::Grpc,
    }
}

/// Inserts a handle of the span into the request.
#[cold]
fn expose(
    span: &impl OpenSpan,
    request: &RequestInfo<'_>,
    extras: &mut Option<Box<ExchangeExtras>>,
) {
    if let Some(handle) = span.context().map(SpanHandle::new)
        && request.insert(handle.clone())
    {
        extras.get_or_insert_default().handle = Some(handle);
    }
}

fn status_code(response: &dyn ResponseHead) -> LateAttribute<'static> {
    let status = LateValue::Int(response.status().as_u16().into());
    (attribute::HTTP_RESPONSE_STATUS_CODE, Some(status))
}

impl<B: SpanBackend> Exchange for TraceExchange<B> {
    const END_READS_CONTEXT: bool = true;
    const ONLY_RECORDS: bool = true;

    type Entered<'a>
        = Option<<B::Span as OpenSpan>::Entered<'a>>
    where
        Self: 'a;

    #[inline]
    fn enter(&mut self) -> Self::Entered<'_> {
        if self.has_ended {
            self.show_kept();
        }
        thread_exit::unless_exiting(|| self.span.enter())
    }

    #[inline]
    fn read_response(&mut self, _: &dyn ResponseHead) -> Option<Box<(HeaderName, HeaderValue)>> {
        match self.has_server_timing {
            true => self.server_timing_header(),
            false => None,
        }
    }

    #[inline(always)]
    fn response(&mut self, response: &dyn ResponseHead) {
        self.status = Some(response.status());
        if !self.span.is_recording() {
            self.read_grpc_of_access_log(response);
            return;
        }
        let is_grpc = self.extras.is_some() && self.grpc_response(response);
        match self.state.config.kind {
            Kind::Client => self.client_response(response),
            Kind::Server if is_grpc => {}
            Kind::Server => {
                let status = response.status().as_u16().into();
                self.span
                    .set_int(attribute::HTTP_RESPONSE_STATUS_CODE, status);
            }
        }
        let headers = &self.state.config.response_headers;
        headers.copy(response.headers(), self.protocol(), || self.span.context());
    }

    #[cold]
    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        let Some(connection) = upgraded.filter(|_| self.span.is_recording()) else {
            return;
        };
        let request = self.span.context();
        let request = request.map(|context| context.span().span_context().clone());
        let span = self.state.backend.start_connection(request);
        connection::observe(connection, span);
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        self.body_bytes = self.body_bytes.saturating_add(bytes);
    }

    #[inline]
    fn end_order(&self) -> Option<Ordering> {
        Some(match self.span.is_held() {
            true => Ordering::Less,
            false => Ordering::Equal,
        })
    }

    #[inline]
    fn end(&mut self, end: End<'_>, at: Instant) {
        let extras = self.extras.as_mut();
        match extras.and_then(|extras| extras.access.take()) {
            None => self.end_span(end, at),
            Some(entry) => self.end_with_access(&entry, end, at),
        }
        self.has_ended = true;
    }
}

impl<B: SpanBackend> TraceExchange<B> {
    /// Sets the context of the ended span for exemplars. Called only if metrics end after the span.
    #[cold]
    fn show_kept(&mut self) {
        self.has_ended = false;
        self.span.show_kept();
    }

    #[inline(always)]
    fn end_span(&mut self, end: End<'_>, at: Instant) {
        let is_recording = self.span.is_recording();
        if is_recording {
            let error = match self.protocol() {
                Protocol::Grpc => self.grpc_end(&end, at),
                Protocol::Http => self.http_end(&end),
            };
            if let Some(error) = error {
                self.span.fail(error);
            }
        }
        self.state.backend.end(&mut self.span, at);
        // Last, because a subscriber may block. A `tracing` span ends when it is dropped, after this event in it.
        if is_recording && self.state.config.logs_exceptions {
            self.log_exception(end);
        }
    }

    /// Records the attributes of the end of a gRPC call, and returns its error.
    #[cold]
    fn grpc_end(&mut self, end: &End<'_>, at: Instant) -> Option<&'static str> {
        let is_renamed = self.is_renamed();
        let grpc = self.extras.as_ref()?.grpc.as_ref()?;
        let captured = &self.state.config.response_trailers;
        grpc.copy_trailers(captured, &self.span, end);
        grpc.end(&mut self.span, end, at, is_renamed)
    }

    #[cold]
    fn log_exception(&mut self, end: End<'_>) {
        let _entered = self.enter();
        exception::log(end);
    }

    /// Ends the span and writes the line to the access log, even if the end of the span panics.
    #[cold]
    fn end_with_access(&mut self, entry: &AccessEntry, end: End<'_>, at: Instant) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.end_span(end, at)));
        let write = AssertUnwindSafe(|| self.write_access(entry, &end, at));
        let Err(panic) = ended else {
            return write();
        };
        if let Err(second) = catch_unwind(write) {
            // The destructor of the payload may panic, too.
            mem::forget(second);
        }
        resume_unwind(panic);
    }
}
