//! Spans of `tracing` that the layer of tower-otel-recorder records without reading their fields.

use std::{borrow::Cow, time::Instant};

use opentelemetry::{Context, trace::SpanContext};
use tower_otel_propagate::ExtractedContext;
use tower_otel_recorder::{RecorderLayer, SpanStart};
use tracing::{Dispatch, dispatcher};

use super::{
    fields::SpanCallsite,
    recorder::{sampler_input, span_kind, template, write_resolved, write_template},
    templates::SpanTemplate,
};
use crate::{
    parent::{Parent, span_context},
    request::{RequestAttributes, ResolvedAttributes, SpanName},
};

/// Writes the span of a request to a record and creates its `tracing` span with `create`, from its attributes.
///
/// Returns the `tracing` span, its context, and whether keep rules decide at its end whether it is exported. Context and decision
/// are `None` if the layer does not record the span. Returns `None` without calling `create` if no such layer can start the span.
#[inline]
pub(super) fn open(
    request: &RequestAttributes<'_, '_>,
    callsite: &'static SpanCallsite,
    parent: &Parent,
    at: Instant,
    create: impl FnOnce(&ResolvedAttributes<'_>, &Dispatch) -> tracing::Span,
) -> Option<(tracing::Span, Option<(Context, bool)>)> {
    // Cloned, because the current subscriber cannot be used for a span while it is borrowed.
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let layer = subscriber.downcast_ref::<RecorderLayer>()?;
    if !layer.can_open(callsite.metadata) {
        return None;
    }
    if !callsite.is_enabled() {
        return Some((tracing::Span::none(), None));
    }
    let (base, remote, link) = start_context(parent);
    let start = SpanStart {
        kind: span_kind(request),
        base: &base,
        remote,
        link,
        at,
    };
    let template = template(request);
    let template = template.as_deref();
    let resolved = resolve(request, template);
    layer.open(
        callsite.metadata,
        start,
        || sampler_input(request),
        |record| {
            let query = resolved.query.as_deref();
            let is_written =
                template.is_some_and(|template| write_template(request, template, query, record));
            if !is_written {
                write_resolved(request, &resolved, record);
            }
        },
        || create(&resolved, &subscriber),
    )
}

/// Closes a span that [`open`] has started, and sets its end.
#[inline]
pub(super) fn close(span: &mut tracing::Span, at: Instant) {
    RecorderLayer::close(span, at);
}

/// A span that [`open`] has started and that is entered. Its context is attached by the caller.
pub(super) struct Entered {
    outer: (usize, u64),
}

impl Entered {
    /// Enters a span. Call it immediately before the `tracing` span is entered.
    #[inline]
    pub(super) fn new(span: &tracing::Span) -> Self {
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

/// Resolves the name and the attributes that are computed from the request, or copies them from its template.
#[inline]
fn resolve<'v>(
    request: &'v RequestAttributes<'_, '_>,
    template: Option<&'v SpanTemplate>,
) -> ResolvedAttributes<'v> {
    let Some(template) = template else {
        return request.resolve();
    };
    let server = template.server.as_ref();
    ResolvedAttributes {
        name: SpanName::Static(template.name, template.route),
        query: request.query(),
        url: None,
        server: server.map(|(host, port)| (Cow::Borrowed(&**host), *port)),
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
