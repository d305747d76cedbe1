//! The parent of a span.

use std::{fmt, sync::Arc};

use opentelemetry::{Context, trace::SpanContext};
use tower_otel_core::{Kind, RequestHead, RequestInfo};
use tower_otel_propagate::{Extracted, Trust};

use crate::state::Config;

/// The parent of a span.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Parent {
    /// The current span, if there is one.
    Current,
    /// A span of another process, and what was propagated with it.
    Remote(Extracted),
    /// None: the span starts a trace. It may link to a span of another process.
    Root(Option<SpanContext>),
}

impl Parent {
    /// Returns the parent of the span of a request.
    pub(crate) fn of(request: &RequestInfo<'_>, config: &Config) -> Self {
        if config.kind == Kind::Client {
            return Self::Current;
        }
        let (propagation, headers) = (&config.propagation, request.headers());
        match config.remote_parent.decide(request.head()) {
            Trust::Continue => {
                Context::map_current(|current| propagation.extracted(headers, current))
                    .map_or(Self::Current, Self::Remote)
            }
            Trust::Link => propagation
                .extract_span_context(headers)
                .map_or(Self::Current, |remote| Self::Root(Some(remote))),
            _ => Self::Root(None),
        }
    }

    /// Returns the context that the span starts in, if it is not the current one, and the span that
    /// it links to.
    pub(crate) fn into_context(self) -> (Option<Context>, Option<SpanContext>) {
        match self {
            Self::Current => (None, None),
            Self::Remote(remote) => {
                let context = Context::map_current(|current| remote.into_context(current));
                (Some(context), None)
            }
            Self::Root(link) => (Some(Context::new()), link),
        }
    }
}

/// Decides, per request, what the remote parent is used for.
#[derive(Clone, Default)]
pub(crate) struct RemoteParentRule(Option<Arc<dyn Fn(&dyn RequestHead) -> Trust + Send + Sync>>);

impl RemoteParentRule {
    pub(crate) fn new(rule: impl Fn(&dyn RequestHead) -> Trust + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    fn decide(&self, request: &dyn RequestHead) -> Trust {
        match &self.0 {
            None => Trust::default(),
            Some(rule) => rule(request),
        }
    }
}

impl fmt::Debug for RemoteParentRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Continue",
            Some(_) => "Function",
        })
    }
}
