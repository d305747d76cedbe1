//! The life of one span.

use std::{sync::Arc, time::Instant};

use http::{Method, StatusCode};
use opentelemetry::trace::TraceContextExt;
use tower_otel_core::{End, Exchange, Kind, RequestHead, ResponseHead, RouteSlot, Routing};
use tower_otel_semconv::{Endpoint, attribute, protocol, span_name};

use crate::{
    OptIn, SpanHandle,
    backend::{Attribute, Backend, Span, Value},
    config::Told,
    exception,
    facts::Protocol,
    grpc::Call,
};

/// One exchange as a span: opened at the request, closed at the end of the response.
#[derive(Debug)]
pub struct TraceExchange<B: Backend> {
    span: B::Span,
    told: Arc<Told<B>>,
    status: Option<StatusCode>,
    late: Option<(RouteSlot, Method)>,
    bytes: u64,
    // In a box, because few exchanges have any of it and all are moved about.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    call: Option<Call>,
    handle: Option<SpanHandle>,
}

impl<B: Backend> TraceExchange<B> {
    pub(crate) fn new(
        span: B::Span,
        told: &Arc<Told<B>>,
        routing: Routing,
        request: &mut dyn RequestHead,
    ) -> Self {
        let mut exchange = Self::filtered(span, told);
        if let Routing::Late(slot) = routing {
            exchange.late = Some((slot, request.method().clone()));
        }
        exchange.open(request);
        exchange
    }

    /// A gRPC call.
    pub(crate) fn of_call(
        span: B::Span,
        told: &Arc<Told<B>>,
        call: Call,
        request: &mut dyn RequestHead,
    ) -> Self {
        let mut exchange = Self::filtered(span, told);
        exchange.rare().call = Some(call);
        exchange.open(request);
        exchange
    }

    pub(crate) fn filtered(span: B::Span, told: &Arc<Told<B>>) -> Self {
        Self {
            span,
            told: Arc::clone(told),
            status: None,
            late: None,
            bytes: 0,
            rare: None,
        }
    }

    #[cold]
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn open(&mut self, request: &mut dyn RequestHead) {
        let span = || self.span.context();
        self.told
            .config
            .request_headers
            .copy(request.headers(), self.protocol(), span);
        if self.told.config.exposes_span {
            self.rare().handle = expose(&self.span, request);
        }
    }

    fn protocol(&self) -> Protocol {
        match self.call() {
            None => Protocol::Http,
            Some(_) => Protocol::Grpc,
        }
    }

    fn call(&self) -> Option<&Call> {
        self.rare.as_ref()?.call.as_ref()
    }

    fn is_named(&self) -> bool {
        let handle = self.rare.as_ref().and_then(|rare| rare.handle.as_ref());
        handle.is_some_and(SpanHandle::is_named)
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
            let name = span_name(self.told.config.methods.name(&method), Some(route));
            context.span().update_name(name.into_owned());
        }
    }

    fn client_response(&mut self, response: &dyn ResponseHead) {
        let peer = response.peer().map(Endpoint::from);
        let address = peer.map(|peer| peer.address.to_string());
        let address = address.as_deref().map(Value::Str);
        let address = (attribute::NETWORK_PEER_ADDRESS, address);
        let port = peer.and_then(|peer| peer.port).map(i64::from);
        let port = (attribute::NETWORK_PEER_PORT, port.map(Value::Int));
        if self.protocol() == Protocol::Grpc {
            if peer.is_some() {
                self.span.set_all([address, port]);
            }
            return;
        }
        let version = response.version();
        let has_transport = peer.is_some() && self.told.config.opt_ins.has(OptIn::NetworkTransport);
        let transport = protocol::transport(version).filter(|_| has_transport);
        let version = protocol::version(version);
        self.span.set_all([
            status(response),
            (
                attribute::NETWORK_PROTOCOL_VERSION,
                version.map(Value::Fixed),
            ),
            (attribute::NETWORK_TRANSPORT, transport.map(Value::Fixed)),
            address,
            port,
        ]);
    }

    /// What has to be said last, and the error if there is one.
    fn http_end(&mut self, end: &End<'_>) -> Option<&'static str> {
        self.take_late_route();
        if self.told.config.body_sizes && matches!(end, End::Complete { .. }) {
            let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
            self.set(attribute::HTTP_RESPONSE_BODY_SIZE, Value::Int(bytes));
        }
        end.error_type(self.told.config.kind, self.status)
    }

    fn set(&mut self, key: &'static str, value: Value<'_>) {
        self.span.set(key, value);
    }
}

fn status(response: &dyn ResponseHead) -> Attribute<'static> {
    let status = Value::Int(response.status().as_u16().into());
    (attribute::HTTP_RESPONSE_STATUS_CODE, Some(status))
}

/// Leaves the span in the request, for the handler.
fn expose<S: Span>(span: &S, request: &mut dyn RequestHead) -> Option<SpanHandle> {
    let handle = SpanHandle::new(span.context()?);
    request.extensions_mut()?.insert(handle.clone());
    Some(handle)
}

impl<B: Backend> Exchange for TraceExchange<B> {
    type Entered<'a>
        = <B::Span as Span>::Entered<'a>
    where
        Self: 'a;

    fn enter(&mut self) -> Self::Entered<'_> {
        self.span.enter()
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        self.status = Some(response.status());
        if !self.span.is_recording() {
            return;
        }
        let call = self.rare.as_mut().and_then(|rare| rare.call.as_mut());
        let is_call = call.map(|call| call.response(response)).is_some();
        match self.told.config.kind {
            Kind::Client => self.client_response(response),
            Kind::Server if is_call => {}
            Kind::Server => self.span.set_all([status(response)]),
        }
        self.told
            .config
            .response_headers
            .copy(response.headers(), self.protocol(), || self.span.context());
    }

    fn data(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        if self.span.is_recording() {
            let is_named = self.is_named();
            let call = self.rare.as_ref().and_then(|rare| rare.call.as_ref());
            let error = match call {
                Some(call) => call.end(&mut self.span, &end, at, is_named),
                None => self.http_end(&end),
            };
            if self.told.config.exceptions {
                let _entered = self.span.enter();
                exception::record(end);
            }
            if let Some(error) = error {
                self.span.fail(error);
            }
        }
        self.told.backend.end(&mut self.span, at);
    }
}
