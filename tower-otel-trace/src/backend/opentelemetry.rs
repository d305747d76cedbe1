//! Spans of OpenTelemetry, without a subscriber in between.

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context, ContextGuard, KeyValue, TraceFlags,
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use tower_otel_core::Kind;
use tower_otel_semconv::{attribute, rpc};

use super::{Attribute, Attributes, Backend, Parent, Span, Value, scope};
use crate::facts::{Facts, Protocol};

/// Opens OpenTelemetry spans with a tracer of its own.
///
/// No subscriber is needed, and no process-wide state. The span is current in the OpenTelemetry
/// context while the service inside runs, so that it is the parent of whatever is opened there,
/// tracing-opentelemetry's spans included.
#[derive(Debug)]
pub struct Otel<T>(Arc<T>);

impl<T> Clone for Otel<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Tracer> Otel<T> {
    pub(crate) fn new<P: TracerProvider<Tracer = T>>(provider: &P) -> Self {
        Self(Arc::new(provider.tracer_with_scope(scope())))
    }
}

/// An open OpenTelemetry span.
pub struct OtelSpan {
    // Attached whenever the span is entered. Absent if there is nothing to attach.
    context: Option<Context>,
    // Absent if nobody will see the span.
    started: Option<(SystemTime, Instant)>,
}

impl<T> Backend for Otel<T>
where
    T: Tracer<Span: Send + Sync + 'static> + fmt::Debug,
{
    type Span = OtelSpan;

    fn start(&self, facts: &Facts<'_>, parent: Parent, at: Instant) -> OtelSpan {
        let (beneath, link) = parent.beneath();
        let parent = beneath.unwrap_or_else(Context::current);
        let started = SystemTime::now();
        // With room for the rest.
        let mut attributes = Vec::with_capacity(16);
        for_samplers(facts, &mut attributes);
        rest(facts, &mut attributes);
        let name = match facts.kept_name() {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(facts.name().into_owned()),
        };
        let mut builder = self
            .0
            .span_builder(name)
            .with_kind(match facts.kind() {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
            })
            .with_start_time(started)
            .with_attributes(attributes);
        if let Some(link) = link {
            builder = builder.with_links(vec![opentelemetry::trace::Link::with_context(link)]);
        }
        let span = self.0.build_with_context(builder, &parent);
        let recording = span.is_recording();
        let context = if recording {
            parent.with_span(span)
        } else if span.span_context().is_valid() {
            parent.with_remote_span_context(unsampled(&parent, span.span_context()))
        } else {
            // The provider is shut down, or telemetry suppressed: as if there were no layer.
            parent
        };
        if recording {
            OtelSpan::recording(context, (started, at))
        } else {
            OtelSpan::not_recording(Some(context))
        }
    }

    fn none(&self, parent: Parent) -> OtelSpan {
        OtelSpan::not_recording(parent.beneath().0)
    }

    /// The end is the start and the time that has passed by the clock all signals share.
    fn end(&self, span: &mut OtelSpan, at: Instant) {
        if let Some((context, (started, instant))) = span.recorded() {
            let passed = at.saturating_duration_since(instant);
            let end = started.checked_add(passed).unwrap_or(started);
            context.span().end_with_timestamp(end);
        }
    }
}

impl OtelSpan {
    /// The span is the one of this context.
    pub(super) const fn recording(context: Context, started: (SystemTime, Instant)) -> Self {
        Self {
            context: Some(context),
            started: Some(started),
        }
    }

    /// There is no span but for the sake of its children.
    pub(super) const fn not_recording(context: Option<Context>) -> Self {
        Self {
            context,
            started: None,
        }
    }

    fn recorded(&self) -> Option<(&Context, (SystemTime, Instant))> {
        self.context.as_ref().zip(self.started)
    }
}

/// The SDK forgets about a span it does not sample whether its trace id is random.
fn unsampled(parent: &Context, span: &SpanContext) -> SpanContext {
    const RANDOM: TraceFlags = TraceFlags::new(0x02);
    let parent = parent.span();
    let parent = parent.span_context();
    let random = parent.trace_flags() & RANDOM;
    if random == TraceFlags::default() || parent.trace_id() != span.trace_id() {
        return span.clone();
    }
    SpanContext::new(
        span.trace_id(),
        span.span_id(),
        span.trace_flags() | random,
        span.is_remote(),
        span.trace_state().clone(),
    )
}

/// What the conventions want samplers to see, and the route, which is in the name they see anyway.
pub(super) fn for_samplers(facts: &Facts<'_>, first: &mut impl Attributes) {
    match (facts.protocol(), facts.kind()) {
        (Protocol::Grpc, _) => first.fixed(attribute::RPC_SYSTEM_NAME, Some(rpc::SYSTEM)),
        (Protocol::Http, Kind::Server) => {
            method(facts, first);
            first.route(attribute::HTTP_ROUTE, facts);
            first.text(attribute::URL_PATH, facts.path());
            first.text(attribute::URL_QUERY, facts.query().as_deref());
            first.fixed(attribute::URL_SCHEME, Some(facts.scheme()));
            first.header(attribute::USER_AGENT_ORIGINAL, facts.user_agent_header());
            first.address(attribute::CLIENT_ADDRESS, facts.client_address());
        }
        (Protocol::Http, Kind::Client) => {
            method(facts, first);
            first.owned(attribute::URL_FULL, facts.url());
        }
    }
    if let Some((text, scheme)) = facts.server_text() {
        let keys = (attribute::SERVER_ADDRESS, attribute::SERVER_PORT);
        first.host(keys, text, scheme);
    }
}

fn method(facts: &Facts<'_>, first: &mut impl Attributes) {
    match facts.standard_method() {
        Some(method) => first.fixed(attribute::HTTP_REQUEST_METHOD, Some(method)),
        None => first.text(attribute::HTTP_REQUEST_METHOD, Some(facts.method())),
    }
}

/// What samplers have no need of. A span of the SDK is opened with it all the same: one that is
/// sampled pays more for each attribute that is added later than one that is not pays for them all.
pub(super) fn rest(facts: &Facts<'_>, rest: &mut impl Attributes) {
    match facts.protocol() {
        Protocol::Grpc => {
            rest.recurring(attribute::RPC_METHOD, facts.rpc_method());
            rest.text(attribute::RPC_METHOD_ORIGINAL, facts.rpc_method_original());
        }
        Protocol::Http => {
            let original = facts.method_original();
            rest.text(attribute::HTTP_REQUEST_METHOD_ORIGINAL, original);
            rest.int(attribute::HTTP_REQUEST_BODY_SIZE, facts.body_size());
            let synthetic = facts.synthetic_type();
            rest.fixed(attribute::USER_AGENT_SYNTHETIC_TYPE, synthetic);
            match facts.kind() {
                Kind::Server => {
                    let version = facts.protocol_version();
                    rest.fixed(attribute::NETWORK_PROTOCOL_VERSION, version);
                    rest.fixed(attribute::NETWORK_TRANSPORT, facts.transport());
                    rest.port(attribute::CLIENT_PORT, facts.client_port());
                    if let Some(local) = facts.local() {
                        rest.address(attribute::NETWORK_LOCAL_ADDRESS, Some(local.address));
                        rest.port(attribute::NETWORK_LOCAL_PORT, local.port);
                    }
                }
                Kind::Client => {
                    rest.route(attribute::URL_TEMPLATE, facts);
                    rest.fixed(attribute::URL_SCHEME, facts.client_scheme());
                    rest.header(attribute::USER_AGENT_ORIGINAL, facts.user_agent_header());
                    let count = facts.resend_count().map(i64::from);
                    rest.int(attribute::HTTP_REQUEST_RESEND_COUNT, count);
                }
            }
        }
    }
    if let Some(peer) = facts.peer() {
        rest.address(attribute::NETWORK_PEER_ADDRESS, Some(peer.address));
        rest.port(attribute::NETWORK_PEER_PORT, peer.port);
    }
}

impl Span for OtelSpan {
    type Entered<'a> = Option<ContextGuard>;

    fn enter(&mut self) -> Option<ContextGuard> {
        self.context.clone().map(Context::attach)
    }

    fn is_recording(&self) -> bool {
        self.started.is_some()
    }

    fn set_all<const N: usize>(&mut self, attributes: [Attribute<'_>; N]) {
        if let Some((context, _)) = self.recorded() {
            let known = attributes.into_iter();
            let known = known.filter_map(|(key, value)| Some(KeyValue::new(key, value?)));
            context.span().set_attributes(known);
        }
    }

    fn fail(&mut self, error: &'static str) {
        self.set(attribute::ERROR_TYPE, Value::Fixed(error));
        if let Some((context, _)) = self.recorded() {
            context.span().set_status(Status::error(""));
        }
    }

    fn context(&self) -> Option<Context> {
        self.recorded().map(|(context, _)| context.clone())
    }
}

impl fmt::Debug for OtelSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelSpan")
            .field("recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}
