//! An ended span.

use std::ops::Deref;

use opentelemetry::{Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

/// A span that has ended. Dereferences to [`SpanData`], which has its name, kind, status, events and
/// links.
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

    /// Returns whether the status is an error.
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
