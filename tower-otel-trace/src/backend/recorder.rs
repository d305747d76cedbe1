//! The backend that writes compact span records.

use std::{
    borrow::Cow,
    fmt,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, LazyLock},
    time::Instant,
};

use opentelemetry::{
    Context, ContextGuard, InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanKind, Status},
};
use tower_otel_core::Kind;
use tower_otel_propagate::ExtractedContext;
use tower_otel_recorder::{
    ActiveSpan, AttributeBuffer, Recorder, RecorderTracer, SpanRecord, SpanStart,
};
use tower_otel_semconv::attribute;

use super::{
    open_span::{LateAttribute, LateValue, OpenSpan, StartSpan},
    repeated_fields::RepeatedFields,
    scope::scope,
    templates::{self, SpanTemplate},
    tracer::KeyValues,
};
use crate::{
    attributes::{self, AttributeSink},
    connection, kept,
    parent::{Parent, span_context},
    request::{RequestAttributes, ResolvedAttributes, SpanName},
};

/// The scope of all layers. There is only one, because the recorder reuses records: with two scopes, a record that changes
/// from a server's span to a client's span would change a shared reference count.
static SCOPE: LazyLock<Arc<InstrumentationScope>> = LazyLock::new(|| Arc::new(scope()));

/// Records spans with a [`Recorder`]. Selected by [`TraceLayer::recorder`](crate::TraceLayer::recorder).
///
/// The span is current in the OpenTelemetry context while the inner service runs. Handlers can change it there, and
/// spans that they start are its children.
#[derive(Clone, Debug)]
pub struct RecorderBackend(RecorderTracer);

impl RecorderBackend {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        Self(recorder.tracer_with_scope(Arc::clone(&SCOPE)))
    }
}

/// The recorded span of an exchange, or the context of an exchange that is not recorded.
pub struct RecorderSpan {
    // Attached when the span is entered. `None` if there is nothing to attach.
    context: Option<Context>,
    // No span if it is not recorded, or has ended.
    span: ActiveSpan,
}

impl StartSpan for RecorderBackend {
    type Span = RecorderSpan;

    #[inline]
    fn start(
        &self,
        request: &RequestAttributes<'_, '_>,
        parent: Parent,
        at: Instant,
    ) -> RecorderSpan {
        // A remote span needs no separate context, because the context of the new span replaces it.
        match parent {
            Parent::Span { base, span } => {
                let span = span_context(span);
                self.start_in(request, base, (Some(&span), None), at)
            }
            parent => self.start_below(request, parent, at),
        }
    }

    fn disabled(&self, parent: Parent) -> RecorderSpan {
        RecorderSpan {
            context: parent.into_context().0,
            span: ActiveSpan::default(),
        }
    }

    fn start_connection(&self, request: Option<SpanContext>) -> RecorderSpan {
        let base = Context::new();
        let start = SpanStart {
            kind: SpanKind::Internal,
            base: &base,
            remote: None,
            link: request.as_ref(),
            at: Instant::now(),
        };
        let sampler_input = || (connection::NAME.into(), Vec::new());
        let started = self.0.start_record(start, sampler_input, |record| {
            record.set_static_name(connection::NAME);
        });
        RecorderSpan {
            context: Some(started.context.unwrap_or(base)),
            span: started.span,
        }
    }

    fn end(&self, span: &mut RecorderSpan, at: Instant) {
        span.span.end(&self.0, at);
    }
}

impl RecorderBackend {
    /// Starts a span with any parent.
    #[inline(never)]
    fn start_below(
        &self,
        request: &RequestAttributes<'_, '_>,
        parent: Parent,
        at: Instant,
    ) -> RecorderSpan {
        if let Parent::Remote(ExtractedContext::SpanOnly(remote)) = parent {
            return self.start_in(request, Context::current(), (Some(&remote), None), at);
        }
        let (base, link) = parent.into_context();
        let base = base.unwrap_or_else(Context::current);
        self.start_in(request, base, (None, link.as_ref()), at)
    }

    /// Starts a span in a context. Its parent is the remote span, else the span of the context.
    #[inline(always)]
    fn start_in(
        &self,
        request: &RequestAttributes<'_, '_>,
        base: Context,
        (remote, link): (Option<&SpanContext>, Option<&SpanContext>),
        at: Instant,
    ) -> RecorderSpan {
        let start = SpanStart {
            kind: span_kind(request),
            base: &base,
            remote,
            link,
            at,
        };
        let started = self.0.start_record(
            start,
            || sampler_input(request),
            |record| write(request, template(request).as_deref(), record),
        );
        RecorderSpan {
            context: Some(started.context.unwrap_or(base)),
            span: started.span,
        }
    }
}

pub(super) fn span_kind(request: &RequestAttributes<'_, '_>) -> SpanKind {
    match request.kind() {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
    }
}

/// Returns the name and the attributes of a span, for samplers.
#[cold]
pub(super) fn sampler_input(
    request: &RequestAttributes<'_, '_>,
) -> (Cow<'static, str>, Vec<KeyValue>) {
    let resolved = request.resolve();
    let mut attributes = Vec::new();
    attributes::visit(request, &resolved, &mut KeyValues(&mut attributes));
    (resolved.name.into_cow(), attributes)
}

/// Writes the name and the attributes that are known when a span starts.
#[inline]
fn write(
    request: &RequestAttributes<'_, '_>,
    template: Option<&SpanTemplate>,
    record: &mut SpanRecord,
) {
    let is_written = template.is_some_and(|template| {
        let user_agent = || request.user_agent();
        write_template(
            request,
            template,
            request.query().as_deref(),
            user_agent,
            record,
        )
    });
    if !is_written {
        write_all(request, record);
    }
}

/// Writes the name and the attributes of a template, and those of the request. Returns `false` and writes nothing if they could
/// exceed a limit.
#[inline(always)]
pub(super) fn write_template<'v>(
    request: &'v RequestAttributes<'_, '_>,
    template: &SpanTemplate,
    query: Option<&'v str>,
    user_agent: impl FnOnce() -> Option<&'v str>,
    record: &mut SpanRecord,
) -> bool {
    let fits = record.set_template(template.name, &template.attributes);
    if fits {
        attributes::http_server_own(request, query, user_agent, record.attributes());
    }
    fits
}

/// Writes the parts of the name without looking for a cached name, which would cost more than to copy them.
#[inline(never)]
fn write_all(request: &RequestAttributes<'_, '_>, record: &mut SpanRecord) {
    let Some((method, route)) = request.method_and_route() else {
        return write_resolved(request, &request.resolve(), record);
    };
    record.set_name(&method, Some(route));
    let resolved = request.resolve_with_span_name(SpanName::Text(method));
    attributes::visit(request, &resolved, record.attributes());
}

/// Writes a resolved name and the attributes that are known when a span starts.
#[inline(never)]
pub(super) fn write_resolved(
    request: &RequestAttributes<'_, '_>,
    resolved: &ResolvedAttributes<'_>,
    record: &mut SpanRecord,
) {
    match &resolved.name {
        SpanName::Static(name, _) => record.set_static_name(name),
        SpanName::Text(name) => record.set_name(name, None),
    }
    attributes::visit(request, resolved, record.attributes());
}

/// Returns the template for the span of a request, if it has one.
#[inline]
pub(super) fn template(request: &RequestAttributes<'_, '_>) -> Option<Rc<SpanTemplate>> {
    templates::get(request.template_key()?, || new_template(request))
}

/// Creates the template for similar requests. Returns `None` if the name of the span is not cached.
#[cold]
pub(super) fn new_template(request: &RequestAttributes<'_, '_>) -> Option<SpanTemplate> {
    let resolved = request.resolve();
    let SpanName::Static(name, _) = resolved.name else {
        return None;
    };
    let attributes = AttributeBuffer::shared(|attributes| {
        attributes::http_server_repeated(request, &resolved, attributes);
    });
    Some(SpanTemplate {
        name,
        fields: RepeatedFields::of(request, &resolved)?,
        attributes,
    })
}

impl RecorderSpan {
    #[inline]
    fn attributes(&mut self) -> Option<&mut AttributeBuffer> {
        self.span.attributes()
    }
}

impl OpenSpan for RecorderSpan {
    type Entered<'a> = Option<ContextGuard>;

    fn enter(&mut self) -> Option<ContextGuard> {
        self.context.clone().map(Context::attach)
    }

    fn is_recording(&self) -> bool {
        self.span.is_some()
    }

    #[inline]
    fn is_held(&self) -> bool {
        let context = self.context.as_ref().filter(|_| self.span.is_some());
        context.is_some_and(|context| !kept::is_sampled(context))
    }

    fn show_kept(&mut self) {
        if let Some(context) = self.context.as_ref().and_then(kept::exported_context) {
            self.context = Some(context);
        }
    }

    #[inline]
    fn set_int(&mut self, key: &'static str, value: i64) {
        if let Some(buffer) = self.attributes() {
            buffer.int(key, value);
        }
    }

    fn set_all<const N: usize>(&mut self, attributes: [LateAttribute<'_>; N]) {
        let Some(buffer) = self.attributes() else {
            return;
        };
        for (key, value) in attributes {
            match value {
                None => {}
                Some(LateValue::Text(value)) => buffer.text(key, value),
                Some(LateValue::Static(value)) => buffer.fixed(key, value),
                Some(LateValue::Int(value)) => buffer.int(key, value),
            }
        }
    }

    fn fail(&mut self, error: &'static str) {
        self.set(attribute::ERROR_TYPE, LateValue::Static(error));
        self.span.set_status(Status::error(""));
    }

    fn context(&self) -> Option<Context> {
        let context = self.context.as_ref().filter(|_| self.span.is_some());
        context.cloned()
    }
}

impl<'v> AttributeSink<'v> for AttributeBuffer {
    #[inline]
    fn text(&mut self, key: &'static str, value: Option<&'v str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    #[inline]
    fn static_text(&mut self, key: &'static str, value: Option<&'static str>) {
        if let Some(value) = value {
            self.fixed(key, value);
        }
    }

    #[inline]
    fn int(&mut self, key: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            self.int(key, value);
        }
    }

    #[inline]
    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        if let Some(value) = value {
            self.address(key, value);
        }
    }
}

impl fmt::Debug for RecorderSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecorderSpan")
            .field("recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}
