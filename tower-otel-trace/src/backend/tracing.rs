//! Spans of the `tracing` ecosystem, exported by whoever subscribes to them.

use std::time::Instant;

use opentelemetry::{Context, ContextGuard, SpanId, StringValue, trace::TraceContextExt};
use tower_otel_core::Kind;
use tower_otel_semconv::{attribute, default_port, rpc};
use tracing::{
    field::{self, Empty},
    level_filters::LevelFilter,
};

use super::{Attribute, Backend, Parent, Span, Value, recurring};
use crate::facts::{Facts, Protocol};

/// The target of spans and events, for filters.
pub(crate) const TARGET: &str = "tower_otel_trace";

/// What tracing-opentelemetry reads from a span besides its attributes.
mod otel {
    pub(super) const NAME: &str = "otel.name";
    pub(super) const KIND: &str = "otel.kind";
    pub(super) const STATUS_CODE: &str = "otel.status_code";
}

/// Opens `tracing` spans of level `INFO` and target `tower_otel_trace`.
///
/// Any subscriber sees them, so log lines written meanwhile belong to them; tracing-opentelemetry
/// exports them. Without a subscriber a span costs a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing(());

/// An open `tracing` span, and the context beneath it.
#[derive(Debug)]
pub struct TracingSpan {
    span: tracing::Span,
    // Attached beneath the span whenever that is entered: a span that a filter hides, or that no
    // OpenTelemetry layer knows, still hands on the context its request arrived with. Given up
    // once the span has shown that it brings a context of its own, which is made of this one.
    beneath: Option<Context>,
}

impl Backend for Tracing {
    type Span = TracingSpan;

    fn start(&self, facts: &Facts<'_>, parent: Parent, _at: Instant) -> TracingSpan {
        let (beneath, link) = parent.beneath();
        let span = if LevelFilter::current() < LevelFilter::INFO {
            tracing::Span::none()
        } else {
            let _beneath = beneath.clone().map(Context::attach);
            match (facts.protocol(), facts.kind()) {
                (Protocol::Http, Kind::Server) => server(facts),
                (Protocol::Http, Kind::Client) => client(facts),
                (Protocol::Grpc, kind) => grpc(facts, kind),
            }
        };
        let span = TracingSpan { span, beneath };
        if let Some((link, context)) = link.and_then(|link| Some((link, span.context()?))) {
            context.span().add_link(link, Vec::new());
        }
        span
    }

    fn none(&self, parent: Parent) -> TracingSpan {
        TracingSpan {
            span: tracing::Span::none(),
            beneath: parent.beneath().0,
        }
    }
}

/// All fields have to be declared here: `tracing` drops what a span did not declare.
///
/// The rare ones are declared for those spans that may have them, because tracing-opentelemetry
/// makes room for an attribute of each field, set or not, and of its own (none, as `tower-otel-init`
/// starts it): for up to 17 of them that is a piece of memory which allocators have at hand. Those
/// that are set later come first, because a field is looked for from the first one.
fn server(facts: &Facts<'_>) -> tracing::Span {
    let ((host, port), peer) = (server_of(facts), facts.peer());
    macro_rules! span {
        ($($rare:tt)*) => {
            tracing::info_span!(
                target: TARGET,
                "HTTP server",
                { attribute::HTTP_RESPONSE_STATUS_CODE } = Empty,
                { otel::STATUS_CODE } = Empty,
                { attribute::ERROR_TYPE } = Empty,
                { otel::NAME } = &*facts.name(),
                { otel::KIND } = "server",
                { attribute::HTTP_REQUEST_METHOD } = facts.method(),
                { attribute::HTTP_ROUTE } = facts.route(),
                { attribute::URL_PATH } = facts.path(),
                { attribute::URL_QUERY } = facts.query().as_deref(),
                { attribute::URL_SCHEME } = facts.scheme(),
                { attribute::SERVER_ADDRESS } = host.as_ref().map(StringValue::as_str),
                { attribute::SERVER_PORT } = port.map(i64::from),
                { attribute::CLIENT_ADDRESS } = facts.client_address().map(field::display),
                { attribute::NETWORK_PEER_ADDRESS } = peer.map(|peer| field::display(peer.address)),
                { attribute::NETWORK_PEER_PORT } = peer.and_then(|peer| peer.port).map(i64::from),
                { attribute::NETWORK_PROTOCOL_VERSION } = facts.protocol_version(),
                { attribute::USER_AGENT_ORIGINAL } = facts.user_agent(),
                $($rare)*
            )
        };
    }
    if !facts.has_rare_ones() {
        return span!();
    }
    let local = facts.local();
    span!(
        { attribute::HTTP_REQUEST_METHOD_ORIGINAL } = facts.method_original(),
        { attribute::CLIENT_PORT } = facts.client_port().map(i64::from),
        { attribute::NETWORK_LOCAL_ADDRESS } = local.map(|local| field::display(local.address)),
        { attribute::NETWORK_LOCAL_PORT } = local.and_then(|local| local.port).map(i64::from),
        { attribute::NETWORK_TRANSPORT } = facts.transport(),
        { attribute::USER_AGENT_SYNTHETIC_TYPE } = facts.synthetic_type(),
        { attribute::HTTP_REQUEST_BODY_SIZE } = facts.body_size(),
        { attribute::HTTP_RESPONSE_BODY_SIZE } = Empty,
    )
}

/// As for a server.
fn client(facts: &Facts<'_>) -> tracing::Span {
    let (host, port) = server_of(facts);
    macro_rules! span {
        ($($rare:tt)*) => {
            tracing::info_span!(
                target: TARGET,
                "HTTP client",
                { attribute::HTTP_RESPONSE_STATUS_CODE } = Empty,
                { attribute::NETWORK_PROTOCOL_VERSION } = Empty,
                { attribute::NETWORK_PEER_ADDRESS } = Empty,
                { attribute::NETWORK_PEER_PORT } = Empty,
                { otel::STATUS_CODE } = Empty,
                { attribute::ERROR_TYPE } = Empty,
                { otel::NAME } = &*facts.name(),
                { otel::KIND } = "client",
                { attribute::HTTP_REQUEST_METHOD } = facts.method(),
                { attribute::HTTP_REQUEST_RESEND_COUNT } = facts.resend_count().map(i64::from),
                { attribute::URL_FULL } = facts.url().as_deref(),
                { attribute::URL_TEMPLATE } = facts.route(),
                { attribute::SERVER_ADDRESS } = host.as_ref().map(StringValue::as_str),
                { attribute::SERVER_PORT } = port.map(i64::from),
                $($rare)*
            )
        };
    }
    if !facts.has_rare_ones() {
        return span!();
    }
    span!(
        { attribute::HTTP_REQUEST_METHOD_ORIGINAL } = facts.method_original(),
        { attribute::URL_SCHEME } = facts.client_scheme(),
        { attribute::NETWORK_TRANSPORT } = Empty,
        { attribute::USER_AGENT_ORIGINAL } = facts.user_agent(),
        { attribute::USER_AGENT_SYNTHETIC_TYPE } = facts.synthetic_type(),
        { attribute::HTTP_REQUEST_BODY_SIZE } = facts.body_size(),
        { attribute::HTTP_RESPONSE_BODY_SIZE } = Empty,
    )
}

/// All fields have to be declared here: `tracing` drops what a span did not declare.
fn grpc(facts: &Facts<'_>, kind: Kind) -> tracing::Span {
    let ((host, port), peer) = (server_of(facts), facts.peer());
    let kind = match kind {
        Kind::Server => "server",
        Kind::Client => "client",
    };
    tracing::info_span!(
        target: TARGET,
        "gRPC",
        { otel::NAME } = &*facts.name(),
        { otel::KIND } = kind,
        { otel::STATUS_CODE } = Empty,
        { attribute::RPC_SYSTEM_NAME } = rpc::SYSTEM,
        { attribute::RPC_METHOD } = facts.rpc_method(),
        { attribute::RPC_METHOD_ORIGINAL } = facts.rpc_method_original(),
        { attribute::SERVER_ADDRESS } = host.as_ref().map(StringValue::as_str),
        { attribute::SERVER_PORT } = port.map(i64::from),
        { attribute::NETWORK_PEER_ADDRESS } = peer.map(|peer| field::display(peer.address)),
        { attribute::NETWORK_PEER_PORT } = peer.and_then(|peer| peer.port).map(i64::from),
        { attribute::RPC_RESPONSE_STATUS_CODE } = Empty,
        { attribute::RPC_STATUS_CODE } = Empty,
        { attribute::ERROR_TYPE } = Empty,
    )
}

/// The server's name and port, read before if it was asked lately.
fn server_of(facts: &Facts<'_>) -> (Option<StringValue>, Option<u16>) {
    let Some((text, scheme)) = facts.server_text() else {
        return (None, None);
    };
    match recurring::server(text) {
        Some((host, port)) => (Some(host), port.or_else(|| default_port(scheme?))),
        None => (None, None),
    }
}

impl TracingSpan {
    /// In one record, because each is found and locked anew by every layer of the subscriber.
    fn record<const N: usize>(&self, values: [Attribute<'_>; N]) {
        let Some(fields) = self.span.metadata().map(|metadata| metadata.fields()) else {
            return;
        };
        let Some(none) = fields.iter().next() else {
            return;
        };
        let values = values.map(|(key, value)| (value.and_then(|_| fields.field(key)), value));
        let values = values.each_ref().map(|(field, value)| match field {
            Some(field) => (field, value.as_ref().map(Value::field)),
            None => (&none, None),
        });
        self.span.record_all(&fields.value_set(&values));
    }
}

impl Value<'_> {
    fn field(&self) -> &dyn field::Value {
        match self {
            Self::Str(value) | Self::Fixed(value) => value,
            Self::Int(value) => value,
        }
    }
}

impl Span for TracingSpan {
    type Entered<'a> = Entered<'a>;

    fn enter(&mut self) -> Entered<'_> {
        let Some(beneath) = self.beneath.take() else {
            return Entered {
                _span: self.span.enter(),
                _beneath: None,
            };
        };
        let outside = span_id(&beneath);
        let beneath = beneath.attach();
        let span = self.span.enter();
        self.beneath =
            Context::map_current(|current| (span_id(current) == outside).then(|| current.clone()));
        Entered {
            _span: span,
            _beneath: Some(beneath),
        }
    }

    fn is_recording(&self) -> bool {
        !self.span.is_disabled()
    }

    fn set_all<const N: usize>(&self, attributes: [Attribute<'_>; N]) {
        self.record(attributes);
    }

    /// What becomes current by entering the span is its own; if nothing does, it has none.
    fn context(&self) -> Option<Context> {
        // Above nothing, if there is nothing beneath: it may be current already.
        let _beneath = self.beneath.clone().unwrap_or_default().attach();
        let outside = Context::map_current(span_id);
        let _span = self.span.enter();
        Context::map_current(|current| (span_id(current) != outside).then(|| current.clone()))
    }

    fn fail(&self, error: &'static str) {
        self.record([
            (attribute::ERROR_TYPE, Some(Value::Fixed(error))),
            (otel::STATUS_CODE, Some(Value::Fixed("ERROR"))),
        ]);
    }

    /// Nothing is to be done: tracing-opentelemetry takes the time the span was last left for its
    /// end, and that is now, because foreign code ran inside of it until now.
    fn end(&self, _at: Instant) {}
}

fn span_id(context: &Context) -> SpanId {
    context.span().span_context().span_id()
}

/// An entered span, left before the context beneath it.
#[derive(Debug)]
pub struct Entered<'a> {
    // Fields are dropped in the order of their declaration.
    _span: tracing::span::Entered<'a>,
    _beneath: Option<ContextGuard>,
}
