//! Spans of `tracing` that the layer of tower-otel-recorder records without reading their fields.

use std::time::Instant;

use opentelemetry::{Context, trace::SpanContext};
use tower_otel_propagate::{ExtractedContext, w3c::traceparent::TraceParent};
use tower_otel_recorder::{RecorderLayer, SpanStart};
use tracing::{Dispatch, Span};

use super::{
    create,
    fields::SpanCallsite,
    recorder::{new_template, sampler_input, span_kind, template, write_resolved, write_template},
    templates::{self, SpanTemplate},
};
use crate::{
    parent::{Parent, span_context},
    request::RequestAttributes,
};

/// The `tracing` span of a request, its context, and whether keep rules decide at its end whether it is exported. Context and
/// decision are `None` if the layer has not received the span.
type Opened = (Span, Option<(Context, bool)>);

/// Returns the recorder's layer of a subscriber.
#[inline(always)]
pub(super) fn layer(subscriber: &Dispatch) -> Option<&RecorderLayer> {
    subscriber.downcast_ref::<RecorderLayer>()
}

/// Writes the span of a request to a record and creates its `tracing` span. Returns `None` if the layer cannot write the record.
#[inline(never)]
pub(super) fn open(
    layer: &RecorderLayer,
    request: &RequestAttributes<'_, '_>,
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
    parent: &Parent,
    at: Instant,
) -> Option<Opened> {
    if !layer.can_open(callsite.metadata) {
        return None;
    }
    if !callsite.is_enabled() {
        return Some((Span::none(), None));
    }
    let (base, remote, link) = start_context(parent);
    let start = SpanStart {
        kind: span_kind(request),
        base: &base,
        remote: remote.as_ref(),
        link,
        at,
    };
    let callsite = (callsite, subscriber);
    match template(request) {
        Some(template) => open_similar(layer, request, &template, callsite, start),
        None => open_resolved(layer, request, callsite, start),
    }
}

/// Opens the span of a request with a remote parent, like [`open`]. Returns `None` also if the span is disabled.
#[inline(always)]
pub(super) fn open_child(
    layer: &RecorderLayer,
    request: &RequestAttributes<'_, '_>,
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
    (base, parent): (&Context, TraceParent),
    at: Instant,
) -> Option<Opened> {
    if !layer.can_open(callsite.metadata) || !callsite.is_enabled() {
        return None;
    }
    let remote = span_context(parent);
    let start = SpanStart {
        kind: span_kind(request),
        base,
        remote: Some(&remote),
        link: None,
        at,
    };
    let callsite = (callsite, subscriber);
    // Looked up once: a second look-up would count as a second request with the same key.
    let template = request
        .template_key()
        .and_then(|key| templates::get(key, || new_template(request)));
    match template {
        Some(template) => open_similar(layer, request, &template, callsite, start),
        None => open_resolved(layer, request, callsite, start),
    }
}

/// Opens the span of a request with a template.
#[inline(always)]
fn open_similar(
    layer: &RecorderLayer,
    request: &RequestAttributes<'_, '_>,
    template: &SpanTemplate,
    (callsite, subscriber): (&'static SpanCallsite, &Dispatch),
    start: SpanStart<'_>,
) -> Option<Opened> {
    let query = request.query();
    let query = query.as_deref();
    let user_agent = request.user_agent();
    layer.open(
        callsite.metadata,
        start,
        || sampler_input(request),
        |record| {
            if !write_template(request, template, query, || user_agent, record) {
                write_resolved(request, &request.resolve(), record);
            }
        },
        || {
            let own = (query, user_agent);
            create::similar(request, &template.fields, own, callsite, subscriber)
        },
    )
}

/// Opens the span of a request without a template.
#[inline(never)]
fn open_resolved(
    layer: &RecorderLayer,
    request: &RequestAttributes<'_, '_>,
    (callsite, subscriber): (&'static SpanCallsite, &Dispatch),
    start: SpanStart<'_>,
) -> Option<Opened> {
    let resolved = request.resolve();
    layer.open(
        callsite.metadata,
        start,
        || sampler_input(request),
        |record| write_resolved(request, &resolved, record),
        || create::resolved(request, &resolved, callsite, subscriber),
    )
}

/// Closes a span that [`open`] has started, and sets its end.
#[inline]
pub(super) fn close(span: &mut Span, at: Instant) {
    RecorderLayer::close(span, at);
}

/// A span that [`open`] has started and that is entered. Its context is attached by the caller.
pub(super) struct Entered {
    outer: (usize, u64),
}

impl Entered {
    /// Enters a span. Call it immediately before the `tracing` span is entered.
    #[inline]
    pub(super) fn new(span: &Span) -> Self {
        let id = span.with_subscriber(|(id, _)| id.into_u64());
        Self {
            outer: RecorderLayer::replace_entered((0, id.unwrap_or_default())),
        }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        RecorderLayer::replace_entered(self.outer);
    }
}

/// Returns the context in which a span starts, its remote parent, and the target of its link.
#[inline]
fn start_context(parent: &Parent) -> (Context, Option<SpanContext>, Option<&SpanContext>) {
    match parent {
        Parent::Current => (Context::current(), None, None),
        Parent::Span { base, span } => (base.clone(), Some(span_context(*span)), None),
        Parent::Remote(ExtractedContext::SpanOnly(remote)) => {
            (Context::current(), Some(remote.clone()), None)
        }
        Parent::Remote(ExtractedContext::Full(context)) => (context.clone(), None, None),
        Parent::Root(link) => (Context::new(), None, link.as_ref()),
    }
}
