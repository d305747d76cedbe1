//! Span backends.

use std::{fmt, time::Instant};

use opentelemetry::{Context, InstrumentationScope};
use tower_otel_semconv as semconv;

use crate::{parent::Parent, request::RequestAttributes, string_cache};

mod any;
pub(crate) mod fields;
#[cfg(feature = "recorder")]
mod recorder;
mod tracer;
mod tracing;

#[cfg(feature = "recorder")]
pub use self::recorder::RecorderBackend;
pub(crate) use self::tracing::TARGET;
pub use self::{any::AnyBackend, tracer::TracerBackend, tracing::TracingBackend};

/// Opens the spans of a [`TraceLayer`](crate::TraceLayer): a backend is chosen by value, never by a
/// Cargo feature. Sealed.
pub trait SpanBackend: Clone + fmt::Debug + sealed::Sealed {
    /// An open span.
    #[doc(hidden)]
    type Span: OpenSpan;

    /// Opens a span with all attributes that are known at the start.
    #[doc(hidden)]
    fn start(&self, request: &RequestAttributes<'_, '_>, parent: Parent, at: Instant)
    -> Self::Span;

    /// Returns a span that is not recorded, in the context of the remote parent.
    #[doc(hidden)]
    fn disabled(&self, parent: Parent) -> Self::Span;

    /// Ends a span.
    #[doc(hidden)]
    fn end(&self, span: &mut Self::Span, at: Instant);
}

/// An open span.
#[doc(hidden)]
pub trait OpenSpan {
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the span current until the guard is dropped.
    fn enter(&mut self) -> Self::Entered<'_>;

    /// Returns whether the span is recorded. If not, attributes need not be made.
    fn is_recording(&self) -> bool;

    /// Sets an attribute.
    fn set(&mut self, key: &'static str, value: LateValue<'_>) {
        self.set_all([(key, Some(value))]);
    }

    /// Sets those attributes that have a value.
    fn set_all<const N: usize>(&mut self, attributes: [LateAttribute<'_>; N]);

    /// Sets `error.type`, and the status to `Error`.
    fn fail(&mut self, error: &'static str);

    /// Returns the OpenTelemetry context of this span, if it has one.
    fn context(&self) -> Option<Context>;
}

/// The value of an attribute that is known after the start.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum LateValue<'a> {
    Text(&'a str),
    Static(&'static str),
    Int(i64),
}

/// An attribute that is known after the start, if it has a value.
pub(crate) type LateAttribute<'a> = (&'static str, Option<LateValue<'a>>);

impl From<LateValue<'_>> for opentelemetry::Value {
    fn from(value: LateValue<'_>) -> Self {
        match value {
            LateValue::Text(value) => string_cache::text(value).into(),
            LateValue::Static(value) => value.into(),
            LateValue::Int(value) => value.into(),
        }
    }
}

/// The instrumentation scope of spans that are not `tracing` spans: this crate.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::TracingBackend {}
    impl<T> Sealed for super::TracerBackend<T> {}
    impl Sealed for super::AnyBackend {}
    #[cfg(feature = "recorder")]
    impl Sealed for super::RecorderBackend {}
}
