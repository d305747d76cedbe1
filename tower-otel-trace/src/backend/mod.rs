//! To whom a span is told: opened, filled and closed.

use std::{fmt, time::Instant};

use ::opentelemetry::{Context, InstrumentationScope, trace::SpanContext};
use tower_otel_propagate::ExtractedContext;
use tower_otel_semconv as semconv;

use crate::facts::Facts;

mod attributes;
mod opentelemetry;
#[cfg(feature = "record")]
mod record;
mod recurring;
mod tracing;

use self::attributes::Attributes;
#[cfg(feature = "record")]
pub use self::record::{Record, RecordSpan, Recorder, RecorderBuilder, Tally};
pub(crate) use self::tracing::TARGET;
pub use self::{
    opentelemetry::{Otel, OtelSpan},
    tracing::{Tracing, TracingSpan},
};

/// Opens spans. Chosen by value, never by a Cargo feature.
pub trait Backend: Clone + fmt::Debug + sealed::Sealed {
    /// An open span.
    #[doc(hidden)]
    type Span: Span;

    /// Opens a span with everything that is known at the start.
    #[doc(hidden)]
    fn start(&self, facts: &Facts<'_>, parent: Parent, at: Instant) -> Self::Span;

    /// A span that is not there, above the context that arrived with the request.
    #[doc(hidden)]
    fn none(&self, parent: Parent) -> Self::Span;
}

/// A span that is open.
#[doc(hidden)]
pub trait Span: sealed::Sealed {
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the span current until the guard is dropped.
    fn enter(&mut self) -> Self::Entered<'_>;

    /// Whether anybody will see what is set. What nobody will see need not be made.
    fn is_recording(&self) -> bool;

    /// Sets an attribute.
    fn set(&self, key: &'static str, value: Value<'_>) {
        self.set_all([(key, Some(value))]);
    }

    /// Sets the attributes that are there, at once.
    fn set_all<const N: usize>(&self, attributes: [Attribute<'_>; N]);

    /// Marks the span as an error of this type.
    fn fail(&self, error: &'static str);

    /// The OpenTelemetry context of this very span, if it has one.
    fn context(&self) -> Option<Context>;

    /// Closes the span.
    fn end(&self, at: Instant);
}

/// The value of an attribute: a string stays a string and an integer an integer.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Str(&'a str),
    Fixed(&'static str),
    Int(i64),
}

impl From<Value<'_>> for ::opentelemetry::Value {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Str(value) => recurring::text(value).into(),
            Value::Fixed(value) => value.into(),
            Value::Int(value) => value.into(),
        }
    }
}

/// An attribute that may be known.
pub(crate) type Attribute<'a> = (&'static str, Option<Value<'a>>);

/// What a span is the child of.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Parent {
    /// Whatever is current, if anything.
    Current,
    /// A span of another process, and what came with it.
    Remote(ExtractedContext),
    /// Nothing: the span begins a trace, and may link to a span of another process.
    Root(Option<SpanContext>),
}

impl Parent {
    /// The context to be attached beneath the span, if it is not the current one.
    fn beneath(self) -> (Option<Context>, Option<SpanContext>) {
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

/// Who says what OpenTelemetry spans say: this crate, by these conventions.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}

mod sealed {
    use opentelemetry::trace::Tracer;

    pub trait Sealed {}

    impl Sealed for super::Tracing {}
    impl Sealed for super::TracingSpan {}
    impl<T: Tracer> Sealed for super::Otel<T> {}
    impl Sealed for super::OtelSpan {}
    #[cfg(feature = "record")]
    impl Sealed for super::Record {}
    #[cfg(feature = "record")]
    impl Sealed for super::RecordSpan {}
}
