//! Extracts an OpenTelemetry [`Context`] from the headers of a request.

use http::HeaderMap;
use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt, TraceState},
};

use crate::{
    located_headers::LocatedHeaders,
    overflow_tracestate::{self, OverflowTraceState, has_overflow},
    w3c::{
        traceparent::{self, TraceParent},
        tracestate,
    },
};

/// Returns `parent` with the caller's span as the active span, read from the `traceparent` and
/// `tracestate` headers of a request.
///
/// Spans started in the returned context continue the caller's trace. The sampled and random flags
/// are preserved. All members of `tracestate` are preserved, including those that OpenTelemetry's
/// [`TraceState`] cannot store: the context contains them, and [`inject`](crate::inject) sends them. The [`TraceState`] of
/// the span has at most 512 characters. A malformed `tracestate` is ignored. Allocates once if there is no
/// `tracestate`.
///
/// Returns `None` if `traceparent` is missing, malformed, or has several lines
/// ([specification](https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received)). Use
/// `parent` in this case.
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, trace::TraceContextExt};
///
/// let mut headers = HeaderMap::new();
/// let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// headers.insert("traceparent", caller.parse()?);
///
/// let cx = tower_otel_propagate::extract(&headers, &Context::new()).expect("a valid header");
/// // To link to the caller's span instead of continuing its trace:
/// let caller = cx.span().span_context().clone();
/// assert!(caller.is_remote());
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn extract(headers: &HeaderMap, parent: &Context) -> Option<Context> {
    let remote = RemoteSpan::extract(&LocatedHeaders::new(headers))?;
    Some(remote.into_context(parent))
}

/// The result of an extraction.
///
/// Creating a [`Context`] allocates. No context is needed if only the caller's span is added to the parent context.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum ExtractedContext {
    /// Only the caller's span, to be added to the parent context.
    SpanOnly(SpanContext),
    /// The parent context with everything that was extracted.
    Full(Context),
}

impl ExtractedContext {
    /// Returns the extracted context. `parent` is the context that was given to the extraction.
    pub(crate) fn into_context(self, parent: &Context) -> Context {
        match self {
            Self::SpanOnly(span) => parent.with_remote_span_context(span),
            Self::Full(context) => context,
        }
    }
}

/// The span of another process, parsed from `traceparent` and `tracestate`.
pub(crate) struct RemoteSpan {
    pub(crate) span: SpanContext,
    overflow: Option<OverflowTraceState>,
}

impl RemoteSpan {
    /// Parses the located headers of a request.
    #[inline]
    pub(crate) fn extract(headers: &LocatedHeaders<'_>) -> Option<Self> {
        let parent = traceparent::parse(headers.traceparent?.as_bytes())?;
        if !headers.may_have_tracestate {
            return Some(Self {
                span: parent.into_span_context(TraceState::NONE),
                overflow: None,
            });
        }
        Some(Self::new(parent, headers.tracestate()))
    }

    /// Parses all lines of both headers. Returns `None` unless there is exactly one `traceparent`
    /// line and it is valid.
    pub(crate) fn parse<'a>(
        mut traceparent: impl Iterator<Item = &'a [u8]>,
        tracestate: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let parent = traceparent::parse(traceparent.next()?)?;
        if traceparent.next().is_some() {
            return None;
        }
        Some(Self::new(parent, tracestate))
    }

    fn new<'a>(parent: TraceParent, tracestate: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut tracestate = tracestate.peekable();
        let list = tracestate
            .peek()
            .is_some()
            .then(|| tracestate::parse(tracestate))
            .flatten();
        let (state, overflow) = list.map_or((TraceState::NONE, None), |list| {
            overflow_tracestate::split(parent.trace_id, &list)
        });
        Self {
            span: parent.into_span_context(state),
            overflow,
        }
    }

    /// Adds the span to the parent context. Creates no context if there is nothing else to add.
    #[inline]
    pub(crate) fn into_extracted(self, parent: &Context) -> ExtractedContext {
        if self.overflow.is_none() && !has_overflow(parent) {
            ExtractedContext::SpanOnly(self.span)
        } else {
            ExtractedContext::Full(self.into_context(parent))
        }
    }

    /// Returns `parent` with the span as the active span.
    pub(crate) fn into_context(self, parent: &Context) -> Context {
        let context = match self.overflow {
            Some(overflow) => &parent.with_value(overflow),
            // The parent may have the list of an earlier request of the same trace.
            None if has_overflow(parent) => &parent.with_value(OverflowTraceState::default()),
            None => parent,
        };
        context.with_remote_span_context(self.span)
    }
}
