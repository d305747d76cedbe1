//! To whom a span is told: opened, filled and closed.

use std::time::Instant;

use opentelemetry::Context;

use crate::facts::Facts;

mod tracing;

pub use self::tracing::{Tracing, TracingSpan};

/// Opens spans. Chosen by value, never by a Cargo feature.
pub trait Backend: Clone + sealed::Sealed {
    /// An open span.
    #[doc(hidden)]
    type Span: Span;

    /// Opens a span with everything that is known at the start. `remote` is the context that
    /// arrived with the request.
    #[doc(hidden)]
    fn start(&self, facts: &Facts<'_>, remote: Option<Context>) -> Self::Span;

    /// A span that is not there, above the context that arrived with the request.
    #[doc(hidden)]
    fn none(&self, remote: Option<Context>) -> Self::Span;
}

/// A span that is open.
#[doc(hidden)]
pub trait Span: sealed::Sealed {
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the span current until the guard is dropped.
    fn enter(&self) -> Self::Entered<'_>;

    /// Sets an attribute.
    fn set(&self, key: &'static str, value: Value<'_>);

    /// Gives the span another name.
    fn rename(&self, name: String);

    /// Marks the span as an error. The reason is in its attributes.
    fn fail(&self);

    /// Closes the span.
    fn end(&self, at: Instant);
}

/// The value of an attribute: a string stays a string and an integer an integer.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Str(&'a str),
    Int(i64),
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Tracing {}
    impl Sealed for super::TracingSpan {}
}
