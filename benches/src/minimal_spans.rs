//! Minimal spans, as a lower bound of the cost. The attributes are known in advance, and the end of the
//! exchange is ignored. The remaining cost is that of the SDK, `tracing` and the exchange itself.

use std::time::{Instant, SystemTime};

use opentelemetry::{
    Context, ContextGuard, KeyValue,
    trace::{SpanBuilder, SpanKind, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use tower_otel_core::{End, Exchange, Kind, Observe, RequestInfo, ResponseHead};
use tower_otel_propagate::extract;
use tracing::field::Empty;

/// Records minimal spans with the SDK.
#[derive(Clone, Debug)]
pub struct Direct(pub SdkTracer);

/// The context of an open span.
#[derive(Debug)]
pub struct DirectExchange(Context);

fn parent(request: &RequestInfo<'_>) -> Context {
    Context::map_current(|current| {
        extract(request.headers(), current).unwrap_or_else(|| current.clone())
    })
}

impl Observe for Direct {
    type Exchange = DirectExchange;

    fn start(&self, request: &RequestInfo<'_>, _at: Instant) -> DirectExchange {
        let parent = parent(request);
        let mut attributes = Vec::with_capacity(16);
        attributes.extend([
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", "/users/{id}"),
            KeyValue::new("url.path", request.target(Kind::Server).path.to_owned()),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("user_agent.original", "bench/1.0"),
            KeyValue::new("server.address", "shop.example"),
            KeyValue::new("server.port", 8080),
            KeyValue::new("network.protocol.version", "1.1"),
        ]);
        let builder = SpanBuilder::from_name("GET /users/{id}")
            .with_kind(SpanKind::Server)
            .with_start_time(SystemTime::now())
            .with_attributes(attributes);
        let span = self.0.build_with_context(builder, &parent);
        DirectExchange(parent.with_span(span))
    }
}

impl Exchange for DirectExchange {
    type Entered<'a> = ContextGuard;

    fn enter(&mut self) -> ContextGuard {
        self.0.clone().attach()
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        let status = i64::from(response.status().as_u16());
        let status = KeyValue::new("http.response.status_code", status);
        self.0.span().set_attribute(status);
    }

    fn end(&mut self, _end: End<'_>, _at: Instant) {
        self.0.span().end();
    }
}

/// Records minimal spans with `tracing`.
#[derive(Clone, Copy, Debug)]
pub struct Tracing;

/// An open span.
#[derive(Debug)]
pub struct TracingExchange(tracing::Span);

impl Observe for Tracing {
    type Exchange = TracingExchange;

    fn start(&self, request: &RequestInfo<'_>, _at: Instant) -> TracingExchange {
        let _parent = parent(request).attach();
        TracingExchange(tracing::info_span!(
            "HTTP server",
            otel.name = "GET /users/{id}",
            otel.kind = "server",
            http.request.method = "GET",
            http.route = "/users/{id}",
            url.path = request.target(Kind::Server).path,
            url.scheme = "http",
            user_agent.original = "bench/1.0",
            server.address = "shop.example",
            server.port = 8080,
            network.protocol.version = "1.1",
            http.response.status_code = Empty,
        ))
    }
}

impl Exchange for TracingExchange {
    type Entered<'a> = tracing::span::Entered<'a>;

    fn enter(&mut self) -> tracing::span::Entered<'_> {
        self.0.enter()
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        let status = i64::from(response.status().as_u16());
        self.0.record("http.response.status_code", status);
    }

    fn end(&mut self, _end: End<'_>, _at: Instant) {}
}
