//! An ended span.

use std::ops::Deref;

use opentelemetry::{Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

/// A span that has ended. It dereferences to [`SpanData`], which has its name, kind, status, events and
/// links.
///
/// ```
/// use opentelemetry::Value;
/// use tower_otel_test::TestTelemetry;
///
/// let telemetry = TestTelemetry::new();
/// let _installed = telemetry.install();
/// tracing::info_span!("charge", amount = 3).in_scope(|| ());
///
/// let charge = telemetry.span("charge");
/// assert_eq!(charge.attribute("amount"), Some(&Value::I64(3)));
/// assert!(!charge.is_failed());
/// ```
#[derive(Clone, Debug)]
pub struct Span(SpanData);

impl Span {
    pub(crate) const fn new(data: SpanData) -> Self {
        Self(data)
    }

    /// Returns the value of an attribute, or `None` if the span does not have it.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        let mut attributes = self.attributes.iter();
        let attribute = attributes.find(|attribute| attribute.key.as_str() == key)?;
        Some(&attribute.value)
    }

    /// Returns `true` if the status is an error.
    pub fn is_failed(&self) -> bool {
        matches!(self.status, Status::Error { .. })
    }

    pub(crate) fn is_child_of(&self, parent: &Self) -> bool {
        self.parent_span_id == parent.span_context.span_id()
            && self.span_context.trace_id() == parent.span_context.trace_id()
    }
}

impl Deref for Span {
    type Target = SpanData;

    fn deref(&self) -> &SpanData {
        &self.0
    }
}
