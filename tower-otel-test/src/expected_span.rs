//! The span that a test expects.

use std::collections::BTreeMap;

use opentelemetry::{Value, trace::SpanKind};

use crate::span::Span;

/// An expected span. Returned by [`span`].
///
/// These parts of a recorded span are compared:
///
/// | part | compared | expected |
/// |---|---|---|
/// | name | always | the name given to [`span`] |
/// | status | always | not an error, or an error after [`failed`](Self::failed) |
/// | children | always | exactly those of [`child`](Self::child), in any order |
/// | kind | if set | the kind of [`kind`](Self::kind) |
/// | attributes | if set | those of [`attribute`](Self::attribute) and [`without_attribute`](Self::without_attribute) |
#[derive(Clone, Debug)]
pub struct ExpectedSpan {
    pub(crate) name: String,
    pub(crate) kind: Option<SpanKind>,
    pub(crate) failed: bool,
    /// `None` for an attribute that must be absent.
    pub(crate) attributes: BTreeMap<String, Option<Value>>,
    pub(crate) children: Vec<Self>,
}

/// Returns an expected span with this name, without an error and without children.
///
/// ```
/// use tower_otel_test::{SpanKind, span};
///
/// span("GET /users/{id}")
///     .kind(SpanKind::Server)
///     .attribute("http.response.status_code", 200)
///     .without_attribute("error.type")
///     .child(span("find user"));
/// ```
pub fn span(name: impl Into<String>) -> ExpectedSpan {
    ExpectedSpan {
        name: name.into(),
        kind: None,
        failed: false,
        attributes: BTreeMap::new(),
        children: Vec::new(),
    }
}

impl ExpectedSpan {
    /// Expects this kind. Default: any.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Expects an error status. Default: a status that is not an error.
    #[must_use]
    pub fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// Expects an attribute with this value. The types must be equal: `200` does not match `"200"`.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(key.into(), Some(value.into()));
        self
    }

    /// Expects the attribute to be absent.
    #[must_use]
    pub fn without_attribute(mut self, key: impl Into<String>) -> Self {
        self.attributes.insert(key.into(), None);
        self
    }

    /// Expects this child, in addition to those added before. Default: no children. The order of children does not matter.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Returns whether the span matches, regardless of its children.
    pub(crate) fn matches_ignoring_children(&self, span: &Span) -> bool {
        let kind = self.kind.as_ref();
        let mut attributes = self.attributes.iter();
        self.name == span.name
            && self.failed == span.is_failed()
            && kind.is_none_or(|kind| *kind == span.span_kind)
            && attributes.all(|(key, value)| span.attribute(key) == value.as_ref())
    }
}
