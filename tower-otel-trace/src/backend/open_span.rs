//! The interface between a layer and its span backend.

use std::{fmt, time::Instant};

use opentelemetry::{Context, trace::SpanContext};

use crate::{parent::Parent, request::RequestAttributes, string_cache};

/// A backend that opens the spans of a [`TraceLayer`](crate::TraceLayer). See [backends](crate#backends). This trait is
/// sealed.
pub trait SpanBackend: StartSpan {}

impl<B: StartSpan> SpanBackend for B {}

/// The implementation of a [`SpanBackend`].
pub trait StartSpan: Clone + fmt::Debug {
    /// An open span.
    type Span: OpenSpan + Send + 'static;

    /// Opens a span with all attributes that are known at the start.
    fn start(&self, request: &RequestAttributes<'_, '_>, parent: Parent, at: Instant)
    -> Self::Span;

    /// Returns a span that is not recorded, in the context of the remote parent.
    fn disabled(&self, parent: Parent) -> Self::Span;

    /// Opens the span of an upgraded connection. It starts a trace, has a link to the span of the request, and ends when it
    /// is dropped.
    fn start_connection(&self, request: Option<SpanContext>) -> Self::Span;

    /// Ends a span.
    fn end(&self, span: &mut Self::Span, at: Instant);
}

/// An open span.
pub trait OpenSpan {
    type Entered<'a>
    where
        Self: 'a;

    /// Makes the span current until the guard is dropped.
    fn enter(&mut self) -> Self::Entered<'_>;

    /// Returns whether the span is recorded. If not, the caller can skip attributes.
    fn is_recording(&self) -> bool;

    /// Returns whether keep rules decide at the end of the span whether it is exported.
    fn is_held(&self) -> bool;

    /// Closes an ended span. If keep rules export it, replaces its context with one that makes it the
    /// [exemplar of metrics](crate::kept).
    fn show_kept(&mut self);

    /// Sets an attribute.
    fn set(&mut self, key: &'static str, value: LateValue<'_>) {
        self.set_all([(key, Some(value))]);
    }

    /// Sets an integer.
    fn set_int(&mut self, key: &'static str, value: i64) {
        self.set(key, LateValue::Int(value));
    }

    /// Sets the attributes that have a value.
    fn set_all<const N: usize>(&mut self, attributes: [LateAttribute<'_>; N]);

    /// Sets `error.type`, and the status to `Error`.
    fn fail(&mut self, error: &'static str);

    /// Returns the OpenTelemetry context of this span, or `None` if it has none.
    fn context(&self) -> Option<Context>;
}

/// The value of an attribute that is known after the start.
#[derive(Clone, Copy, Debug)]
pub enum LateValue<'a> {
    Text(&'a str),
    Static(&'static str),
    Int(i64),
}

/// An attribute that is known after the start. `None` if it has no value.
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
