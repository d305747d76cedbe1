//! A backend that is chosen at run time.

use std::{fmt, sync::Arc, time::Instant};

use opentelemetry::{
    Context, ContextGuard,
    global::BoxedTracer,
    trace::{Span, SpanBuilder, SpanContext, Tracer},
};

#[cfg(feature = "recorder")]
use super::recorder::{RecorderBackend, RecorderSpan};
use super::{
    open_span::{LateAttribute, OpenSpan, StartSpan},
    tracer::{TracerBackend, TracerSpan},
    tracing::{Entered, TracingBackend, TracingSpan},
};
use crate::{parent::Parent, request::RequestAttributes};

/// A backend that is chosen at run time: one type for all span backends.
///
/// Returned by [`TraceLayer::any_backend`](crate::TraceLayer::any_backend).
#[derive(Clone, Debug)]
pub struct AnyBackend(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Tracing(TracingBackend),
    Tracer(TracerBackend<BoxedTracer>),
    #[cfg(feature = "recorder")]
    Recorder(RecorderBackend),
}

/// An open span of any backend.
#[derive(Debug)]
pub enum AnySpan {
    Tracing(TracingSpan),
    Tracer(TracerSpan),
    #[cfg(feature = "recorder")]
    Recorder(RecorderSpan),
}

/// An entered span of any backend.
pub enum AnyEntered<'a> {
    Span(Entered<'a>),
    Context(Option<ContextGuard>),
}

/// A backend whose type can be erased.
pub trait EraseBackend {
    /// Returns the backend as [`AnyBackend`].
    fn erase(self) -> AnyBackend;
}

impl EraseBackend for TracingBackend {
    fn erase(self) -> AnyBackend {
        AnyBackend(Backend::Tracing(self))
    }
}

impl<T> EraseBackend for TracerBackend<T>
where
    T: Tracer<Span: Send + Sync + 'static> + Send + Sync + 'static,
{
    fn erase(self) -> AnyBackend {
        let tracer = SharedTracer(self.into_tracer());
        let tracer = BoxedTracer::new(Box::new(tracer));
        AnyBackend(Backend::Tracer(TracerBackend::from_tracer(tracer)))
    }
}

#[cfg(feature = "recorder")]
impl EraseBackend for RecorderBackend {
    fn erase(self) -> AnyBackend {
        AnyBackend(Backend::Recorder(self))
    }
}

/// A tracer that several layers share, for `BoxedTracer`.
struct SharedTracer<T>(Arc<T>);

impl<T: Tracer<Span: Span>> Tracer for SharedTracer<T> {
    type Span = T::Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Self::Span {
        self.0.build_with_context(builder, parent)
    }
}

impl StartSpan for AnyBackend {
    type Span = AnySpan;

    fn start(&self, request: &RequestAttributes<'_, '_>, parent: Parent, at: Instant) -> AnySpan {
        match &self.0 {
            Backend::Tracing(backend) => AnySpan::Tracing(backend.start(request, parent, at)),
            Backend::Tracer(backend) => AnySpan::Tracer(backend.start(request, parent, at)),
            #[cfg(feature = "recorder")]
            Backend::Recorder(backend) => AnySpan::Recorder(backend.start(request, parent, at)),
        }
    }

    fn disabled(&self, parent: Parent) -> AnySpan {
        match &self.0 {
            Backend::Tracing(backend) => AnySpan::Tracing(backend.disabled(parent)),
            Backend::Tracer(backend) => AnySpan::Tracer(backend.disabled(parent)),
            #[cfg(feature = "recorder")]
            Backend::Recorder(backend) => AnySpan::Recorder(backend.disabled(parent)),
        }
    }

    fn start_connection(&self, request: Option<SpanContext>) -> AnySpan {
        match &self.0 {
            Backend::Tracing(backend) => AnySpan::Tracing(backend.start_connection(request)),
            Backend::Tracer(backend) => AnySpan::Tracer(backend.start_connection(request)),
            #[cfg(feature = "recorder")]
            Backend::Recorder(backend) => AnySpan::Recorder(backend.start_connection(request)),
        }
    }

    fn end(&self, span: &mut AnySpan, at: Instant) {
        match (&self.0, span) {
            (Backend::Tracing(backend), AnySpan::Tracing(span)) => backend.end(span, at),
            (Backend::Tracer(backend), AnySpan::Tracer(span)) => backend.end(span, at),
            #[cfg(feature = "recorder")]
            (Backend::Recorder(backend), AnySpan::Recorder(span)) => backend.end(span, at),
            // The backend that started a span ends it, so other combinations do not occur.
            _ => {}
        }
    }
}

impl OpenSpan for AnySpan {
    type Entered<'a> = AnyEntered<'a>;

    fn enter(&mut self) -> AnyEntered<'_> {
        match self {
            Self::Tracing(span) => AnyEntered::Span(span.enter()),
            Self::Tracer(span) => AnyEntered::Context(span.enter()),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => AnyEntered::Context(span.enter()),
        }
    }

    fn is_recording(&self) -> bool {
        match self {
            Self::Tracing(span) => span.is_recording(),
            Self::Tracer(span) => span.is_recording(),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => span.is_recording(),
        }
    }

    #[inline]
    fn is_held(&self) -> bool {
        match self {
            Self::Tracing(span) => span.is_held(),
            Self::Tracer(span) => span.is_held(),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => span.is_held(),
        }
    }

    fn show_kept(&mut self) {
        match self {
            Self::Tracing(span) => span.show_kept(),
            Self::Tracer(span) => span.show_kept(),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => span.show_kept(),
        }
    }

    fn set_all<const N: usize>(&mut self, attributes: [LateAttribute<'_>; N]) {
        match self {
            Self::Tracing(span) => span.set_all(attributes),
            Self::Tracer(span) => span.set_all(attributes),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => span.set_all(attributes),
        }
    }

    fn fail(&mut self, error: &'static str) {
        match self {
            Self::Tracing(span) => span.fail(error),
            Self::Tracer(span) => span.fail(error),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => span.fail(error),
        }
    }

    fn context(&self) -> Option<Context> {
        match self {
            Self::Tracing(span) => span.context(),
            Self::Tracer(span) => span.context(),
            #[cfg(feature = "recorder")]
            Self::Recorder(span) => span.context(),
        }
    }
}

impl fmt::Debug for AnyEntered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyEntered")
    }
}
