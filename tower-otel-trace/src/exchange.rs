//! The life of one span.

use std::time::Instant;

use http::{Method, StatusCode};
use opentelemetry::trace::TraceContextExt;
use tower_otel_core::{
    End, Exchange, Kind, ResponseHead, Route, Routing,
    semconv::{KnownMethods, attribute, protocol, span_name},
};

use crate::{
    backend::{Span, Value},
    config::Config,
};

/// One exchange as a span: opened at the request, closed at the end of the response.
#[derive(Debug)]
pub struct TraceExchange<S> {
    span: S,
    kind: Kind,
    status: Option<StatusCode>,
    late: Option<LateRoute>,
}

/// A route that is still to come, and the method its span will be named with.
#[derive(Debug)]
struct LateRoute {
    routing: Routing,
    method: Method,
    methods: KnownMethods,
}

impl<S: Span> TraceExchange<S> {
    pub(crate) fn new(span: S, config: &Config, routing: Routing, method: &Method) -> Self {
        let late = matches!(routing, Routing::Late(_)).then(|| LateRoute {
            routing,
            method: method.clone(),
            methods: config.methods.clone(),
        });
        Self {
            late,
            ..Self::filtered(span, config.kind)
        }
    }

    pub(crate) const fn filtered(span: S, kind: Kind) -> Self {
        Self {
            span,
            kind,
            status: None,
            late: None,
        }
    }

    /// Names the span after a route that has been told by now.
    fn take_late_route(&mut self) {
        let Some(late) = self.late.take() else {
            return;
        };
        if let Some(route) = late.routing.route().as_ref().map(Route::as_str) {
            let method = late.methods.name(&late.method);
            if let Some(context) = self.span.context() {
                let name = span_name(method, Some(route)).into_owned();
                context.span().update_name(name);
            }
            self.span.set(attribute::HTTP_ROUTE, Value::Str(route));
        }
    }
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
        let status = response.status();
        self.status = Some(status);
        let code = i64::from(status.as_u16());
        self.span
            .set(attribute::HTTP_RESPONSE_STATUS_CODE, Value::Int(code));
        if self.kind == Kind::Client {
            if let Some(version) = protocol::version(response.version()) {
                self.span
                    .set(attribute::NETWORK_PROTOCOL_VERSION, Value::Str(version));
            }
            if let Some(peer) = response.peer() {
                let address = peer.ip().to_string();
                self.span
                    .set(attribute::NETWORK_PEER_ADDRESS, Value::Str(&address));
                self.span.set(
                    attribute::NETWORK_PEER_PORT,
                    Value::Int(i64::from(peer.port())),
                );
            }
        }
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        self.take_late_route();
        if let Some(error) = end.error_type(self.kind, self.status) {
            self.span.set(attribute::ERROR_TYPE, Value::Str(error));
            self.span.fail();
        }
        self.span.end(at);
    }
}
