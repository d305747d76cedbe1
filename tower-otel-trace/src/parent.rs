//! The parent of a span.

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tower_otel_core::{Kind, RequestInfo};
use tower_otel_propagate::{ExtractedContext, RemoteParent, w3c::traceparent::TraceParent};

use crate::state::Config;

/// Returns the ids of a span of another process, without a trace state.
#[inline(always)]
pub(crate) fn span_context(parent: TraceParent) -> SpanContext {
    let TraceParent {
        trace_id,
        span_id,
        flags,
    } = parent;
    SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
}

/// The parent of a span.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Parent {
    /// The current span, if there is one.
    Current,
    /// A span of another process, and the current context.
    Span {
        /// The current context.
        base: Context,
        /// The span.
        span: TraceParent,
    },
    /// A span of another process, and its propagated context.
    Remote(ExtractedContext),
    /// No parent: the span starts a trace. It may have a link to a span of another process.
    Root(Option<SpanContext>),
}

impl Parent {
    /// Returns the parent of the span of a request.
    #[inline(always)]
    pub(crate) fn of(request: &RequestInfo<'_>, config: &Config) -> Self {
        Self::by(Self::decide(request, config), request, config)
    }

    /// Returns the decision about the span of the caller. Returns `None` on a client.
    #[inline(always)]
    pub(crate) fn decide(request: &RequestInfo<'_>, config: &Config) -> Option<RemoteParent> {
        match config.kind {
            Kind::Client => None,
            Kind::Server => Some(config.remote_parent.decide(request)),
        }
    }

    /// Returns the parent in another process, else the span of the current context.
    #[inline]
    pub(crate) fn below(base: Context, remote: Option<TraceParent>) -> Self {
        match remote {
            Some(span) => Self::Span { base, span },
            None => Self::Current,
        }
    }

    /// Returns the parent of the span of a request by this decision.
    #[inline(always)]
    pub(crate) fn by(
        decision: Option<RemoteParent>,
        request: &RequestInfo<'_>,
        config: &Config,
    ) -> Self {
        let propagation = &config.propagation;
        match decision {
            None => Self::Current,
            Some(RemoteParent::Continue) => {
                // A propagator may attach contexts, which panics inside `map_current`.
                let base = Context::current();
                match propagation.extract_traceparent(request, &base) {
                    Some(parent) => Self::below(base, parent),
                    None => {
                        let extract = || propagation.extract(request, &base);
                        let extracted = request.call_function(None, extract);
                        extracted.map_or(Self::Current, Self::Remote)
                    }
                }
            }
            Some(RemoteParent::Link) => request
                .call_function(None, || propagation.extract_span_context(request))
                .map_or(Self::Current, |remote| Self::Root(Some(remote))),
            Some(_) => Self::Root(None),
        }
    }

    /// Returns the context in which the span starts, or `None` for the current one, and the target of its
    /// link.
    #[inline]
    pub(crate) fn into_context(self) -> (Option<Context>, Option<SpanContext>) {
        match self {
            Self::Current => (None, None),
            Self::Span { base, span } => {
                let span = span_context(span);
                (Some(base.with_remote_span_context(span)), None)
            }
            Self::Remote(remote) => {
                let context = Context::map_current(|current| match remote {
                    ExtractedContext::SpanOnly(span) => current.with_remote_span_context(span),
                    ExtractedContext::Full(context) => context,
                });
                (Some(context), None)
            }
            Self::Root(link) => (Some(Context::new()), link),
        }
    }
}
