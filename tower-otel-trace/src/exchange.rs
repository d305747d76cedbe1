//! The life of one span.

use std::{sync::Arc, time::Instant};

use http::{Method, StatusCode};
use opentelemetry::trace::TraceContextExt;
use tower_otel_core::{
    End, Exchange, Kind, RequestHead, ResponseHead, RouteSlot, Routing,
    semconv::{Endpoint, attribute, protocol, span_name},
};

use crate::{
    OptIn, SpanHandle,
    backend::{Span, Value},
    config::Config,
    exception,
    facts::Protocol,
    grpc::Call,
};

/// One exchange as a span: opened at the request, closed at the end of the response.
#[derive(Debug)]
pub struct TraceExchange<S> {
    span: S,
    config: Arc<Config>,
    status: Option<StatusCode>,
    late: Option<(RouteSlot, Method)>,
    // In boxes, because few exchanges have them and all are moved about.
    call: Option<Box<Call>>,
    handle: Option<Box<SpanHandle>>,
    bytes: u64,
}

impl<S: Span> TraceExchange<S> {
    pub(crate) fn new(
        span: S,
        config: &Arc<Config>,
        routing: Routing,
        request: &mut dyn RequestHead,
    ) -> Self {
        let late = match routing {
            Routing::Late(slot) => Some((slot, request.method().clone())),
            Routing::Known(_) | Routing::Unknown => None,
        };
        let mut exchange = Self::filtered(span, config);
        exchange.late = late;
        exchange.open(request);
        exchange
    }

    /// A gRPC call.
    pub(crate) fn call(
        span: S,
        config: &Arc<Config>,
        call: Call,
        request: &mut dyn RequestHead,
    ) -> Self {
        let mut exchange = Self::filtered(span, config);
        exchange.call = Some(Box::new(call));
        exchange.open(request);
        exchange
    }

    pub(crate) fn filtered(span: S, config: &Arc<Config>) -> Self {
        Self {
            span,
            config: Arc::clone(config),
            status: None,
            late: None,
            call: None,
            handle: None,
            bytes: 0,
        }
    }

    fn open(&mut self, request: &mut dyn RequestHead) {
        let span = || self.span.context();
        self.config
            .request_headers
            .copy(request.headers(), self.protocol(), span);
        if self.config.exposes_span {
            self.handle = expose(&self.span, request).map(Box::new);
        }
    }

    fn protocol(&self) -> Protocol {
        match self.call {
            None => Protocol::Http,
            Some(_) => Protocol::Grpc,
        }
    }

    fn is_named(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| handle.is_named())
    }

    /// Names the span after a route that has been told by now.
    fn take_late_route(&mut self) {
        let Some((slot, method)) = self.late.take() else {
            return;
        };
        let Some(route) = slot.get() else {
            return;
        };
        let route = route.as_str();
        self.set(attribute::HTTP_ROUTE, Value::Str(route));
        if self.is_named() {
            return;
        }
        if let Some(context) = self.span.context() {
            let name = span_name(self.config.methods.name(&method), Some(route));
            context.span().update_name(name.into_owned());
        }
    }

    fn http_response(&self, response: &dyn ResponseHead) {
        let status = i64::from(response.status().as_u16());
        self.set(attribute::HTTP_RESPONSE_STATUS_CODE, Value::Int(status));
        if self.config.kind == Kind::Client {
            let version = response.version();
            if let Some(version) = protocol::version(version) {
                self.set(attribute::NETWORK_PROTOCOL_VERSION, Value::Str(version));
            }
            if self.config.opt_ins.has(OptIn::NetworkTransport) && response.peer().is_some() {
                if let Some(transport) = protocol::transport(version) {
                    self.set(attribute::NETWORK_TRANSPORT, Value::Str(transport));
                }
            }
        }
    }

    /// What has to be said last, and the error if there is one.
    fn http_end(&mut self, end: &End<'_>) -> Option<&'static str> {
        self.take_late_route();
        if self.config.body_sizes && matches!(end, End::Complete { .. }) {
            let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
            self.set(attribute::HTTP_RESPONSE_BODY_SIZE, Value::Int(bytes));
        }
        end.error_type(self.config.kind, self.status)
    }

    fn set(&self, key: &'static str, value: Value<'_>) {
        self.span.set(key, value);
    }
}

/// Leaves the span in the request, for the handler.
fn expose<S: Span>(span: &S, request: &mut dyn RequestHead) -> Option<SpanHandle> {
    let handle = SpanHandle::new(span.context()?);
    request.extensions_mut()?.insert(handle.clone());
    Some(handle)
}

impl<S: Span> Exchange for TraceExchange<S> {
    type Entered<'a>
        = S::Entered<'a>
    where
        Self: 'a;

    fn enter(&mut self) -> S::Entered<'_> {
        self.span.enter()
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        self.status = Some(response.status());
        if !self.span.is_recording() {
            return;
        }
        match &mut self.call {
            Some(call) => call.response(response),
            None => self.http_response(response),
        }
        if self.config.kind == Kind::Client {
            if let Some(peer) = response.peer().map(Endpoint::from) {
                let address = peer.address.to_string();
                self.set(attribute::NETWORK_PEER_ADDRESS, Value::Str(&address));
                if let Some(port) = peer.port {
                    self.set(attribute::NETWORK_PEER_PORT, Value::Int(port.into()));
                }
            }
        }
        self.config
            .response_headers
            .copy(response.headers(), self.protocol(), || self.span.context());
    }

    fn data(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        if self.span.is_recording() {
            let error = match &self.call {
                Some(call) => call.end(&self.span, &end, at, self.is_named()),
                None => self.http_end(&end),
            };
            if self.config.exceptions {
                let _entered = self.span.enter();
                exception::record(end);
            }
            if let Some(error) = error {
                self.set(attribute::ERROR_TYPE, Value::Str(error));
                self.span.fail();
            }
        }
        self.span.end(at);
    }
}
