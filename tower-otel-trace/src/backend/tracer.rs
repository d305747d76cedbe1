//! The backend that opens OpenTelemetry spans with a tracer.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context, ContextGuard, KeyValue, TraceFlags, Value,
    trace::{
        Link, Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer,
        TracerProvider,
    },
};
use tower_otel_core::Kind;
use tower_otel_semconv::attribute;

use super::{
    open_span::{LateAttribute, LateValue, OpenSpan, StartSpan},
    scope::scope,
};
use crate::{
    attributes::{self, AttributeSink},
    connection, kept,
    parent::Parent,
    request::RequestAttributes,
    string_cache,
};

/// Opens OpenTelemetry spans with a tracer. Selected by
/// [`TraceLayer::tracer_provider`](crate::TraceLayer::tracer_provider).
///
/// It needs no subscriber and no global state. The span is current in the OpenTelemetry context while the inner service
/// runs, so it is the parent of spans that are opened there, including spans of tracing-opentelemetry.
#[derive(Debug)]
pub struct TracerBackend<T>(Arc<T>);

impl<T> Clone for TracerBackend<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Tracer> TracerBackend<T> {
    pub(crate) fn new<P: TracerProvider<Tracer = T>>(provider: &P) -> Self {
        Self::from_tracer(provider.tracer_with_scope(scope()))
    }
}

impl<T> TracerBackend<T> {
    pub(super) fn from_tracer(tracer: T) -> Self {
        Self(Arc::new(tracer))
    }

    pub(super) fn into_tracer(self) -> Arc<T> {
        self.0
    }
}

/// An open OpenTelemetry span.
pub struct TracerSpan {
    // Attached when the span is entered. `None` if there is nothing to attach.
    context: Option<Context>,
    // `None` if the span is not recorded.
    started: Option<(SystemTime, Instant)>,
}

impl<T> StartSpan for TracerBackend<T>
where
    T: Tracer<Span: Send + Sync + 'static> + fmt::Debug,
{
    type Span = TracerSpan;

    fn start(
        &self,
        request: &RequestAttributes<'_, '_>,
        parent: Parent,
        at: Instant,
    ) -> TracerSpan {
        let (parent, link) = parent.into_context();
        let parent = parent.unwrap_or_else(Context::current);
        let started = SystemTime::now();
        // Includes capacity for the attributes that are set later.
        let mut attributes = Vec::with_capacity(16);
        let resolved = request.resolve();
        attributes::visit(request, &resolved, &mut KeyValues(&mut attributes));
        let mut builder = self
            .0
            .span_builder(resolved.name.into_cow())
            .with_kind(match request.kind() {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
            })
            .with_start_time(started)
            .with_attributes(attributes);
        if let Some(link) = link {
            builder = builder.with_links(vec![Link::with_context(link)]);
        }
        let span = self.0.build_with_context(builder, &parent);
        if span.is_recording() {
            TracerSpan {
                context: Some(parent.with_span(span)),
                started: Some((started, at)),
            }
        } else if span.span_context().is_valid() {
            let span = with_random_flag(&parent, span.span_context());
            TracerSpan::disabled(Some(parent.with_remote_span_context(span)))
        } else {
            // The provider is shut down or telemetry is suppressed.
            TracerSpan::disabled(Some(parent))
        }
    }

    fn disabled(&self, parent: Parent) -> TracerSpan {
        TracerSpan::disabled(parent.into_context().0)
    }

    fn start_connection(&self, request: Option<SpanContext>) -> TracerSpan {
        let at = Instant::now();
        let started = SystemTime::now();
        let builder = SpanBuilder::from_name(connection::NAME)
            .with_kind(SpanKind::Internal)
            .with_start_time(started)
            .with_links(request.map(Link::with_context).into_iter().collect());
        let base = Context::new();
        let span = self.0.build_with_context(builder, &base);
        TracerSpan {
            started: span.is_recording().then_some((started, at)),
            context: Some(base.with_span(span)),
        }
    }

    /// Ends the span at its start time plus the elapsed time of the monotonic clock, which all signals use.
    fn end(&self, span: &mut TracerSpan, at: Instant) {
        if let Some((context, (started, instant))) = span.recorded() {
            let passed = at.saturating_duration_since(instant);
            let end = started.checked_add(passed).unwrap_or(started);
            context.span().end_with_timestamp(end);
        }
    }
}

impl TracerSpan {
    const fn disabled(context: Option<Context>) -> Self {
        Self {
            context,
            started: None,
        }
    }

    fn recorded(&self) -> Option<(&Context, (SystemTime, Instant))> {
        self.context.as_ref().zip(self.started)
    }
}

/// Restores the random flag of the parent. The SDK clears it in spans that it does not sample.
fn with_random_flag(parent: &Context, span: &SpanContext) -> SpanContext {
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

/// Collects attributes as OpenTelemetry's key-value pairs.
pub(crate) struct KeyValues<'k>(pub(crate) &'k mut Vec<KeyValue>);

impl KeyValues<'_> {
    #[inline]
    fn push(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        // `extend` reserves capacity first and then creates the pair in place.
        self.0
            .extend(value.into_iter().map(|value| KeyValue::new(key, value)));
    }
}

impl<'v> AttributeSink<'v> for KeyValues<'_> {
    fn text(&mut self, key: &'static str, value: Option<&'v str>) {
        self.push(key, value.map(str::to_owned));
    }

    fn repeated_text(&mut self, key: &'static str, value: Option<&'v str>) {
        self.push(key, value.map(string_cache::text));
    }

    fn static_text(&mut self, key: &'static str, value: Option<&'static str>) {
        self.push(key, value);
    }

    fn int(&mut self, key: &'static str, value: Option<i64>) {
        self.push(key, value);
    }

    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        self.push(key, value.map(string_cache::address));
    }
}

impl OpenSpan for TracerSpan {
    type Entered<'a> = Option<ContextGuard>;

    fn enter(&mut self) -> Option<ContextGuard> {
        self.context.clone().map(Context::attach)
    }

    fn is_recording(&self) -> bool {
        self.started.is_some()
    }

    #[inline]
    fn is_held(&self) -> bool {
        let recorded = self.recorded();
        recorded.is_some_and(|(context, _)| !kept::is_sampled(context))
    }

    fn show_kept(&mut self) {
        let recorded = self.recorded();
        if let Some(context) = recorded.and_then(|(context, _)| kept::exported_context(context)) {
            self.context = Some(context);
        }
    }

    fn set_all<const N: usize>(&mut self, attributes: [LateAttribute<'_>; N]) {
        if let Some((context, _)) = self.recorded() {
            let attributes = attributes.into_iter();
            let known = attributes.filter_map(|(key, value)| Some(KeyValue::new(key, value?)));
            context.span().set_attributes(known);
        }
    }

    fn fail(&mut self, error: &'static str) {
        self.set(attribute::ERROR_TYPE, LateValue::Static(error));
        if let Some((context, _)) = self.recorded() {
            context.span().set_status(Status::error(""));
        }
    }

    fn context(&self) -> Option<Context> {
        self.recorded().map(|(context, _)| context.clone())
    }
}

impl fmt::Debug for TracerSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracerSpan")
            .field("recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}
