//! Spans that have ended, and whose child each is.

use std::{fmt, ops::Deref, slice};

use opentelemetry::{Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

use crate::{
    ExpectedSpan,
    diff::difference,
    expected_span::pairs,
    span_text::{self as shown, Shown},
};

/// The spans that have ended, earlier starts first.
///
/// It is shown as a tree with all attributes. A span whose parent is not among them, because it has
/// not ended or is another process's, is a root.
#[derive(Clone, Debug, Default)]
pub struct Spans(Vec<Span>);

/// A span that has ended. Name, kind, status, events and links are those of the [`SpanData`].
#[derive(Clone, Debug)]
pub struct Span(SpanData);

/// A span and its children.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) span: &'a Span,
    pub(crate) children: Vec<Self>,
}

impl Span {
    /// The value of an attribute, if the span has it.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        let attributes = self.attributes.iter();
        let mut found = attributes.filter(|attribute| attribute.key.as_str() == key);
        found.next().map(|attribute| &attribute.value)
    }

    /// Whether the status is an error.
    pub fn is_failed(&self) -> bool {
        matches!(self.status, Status::Error { .. })
    }

    fn is_child_of(&self, parent: &Self) -> bool {
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

impl Spans {
    pub(crate) fn new(mut spans: Vec<SpanData>) -> Self {
        spans.sort_by_key(|span| span.start_time);
        Self(spans.into_iter().map(Span).collect())
    }

    fn roots(&self) -> Vec<Node<'_>> {
        let is_root = |span: &&Span| !self.iter().any(|other| span.is_child_of(other));
        self.iter()
            .filter(is_root)
            .map(|root| self.node(root))
            .collect()
    }

    fn node<'a>(&'a self, span: &'a Span) -> Node<'a> {
        let children = self.iter().filter(|child| child.is_child_of(span));
        Node {
            span,
            children: children.map(|child| self.node(child)).collect(),
        }
    }

    /// What differs, if anything does.
    pub(crate) fn difference(&self, expected: &[ExpectedSpan]) -> Option<String> {
        let roots = self.roots();
        let pairs = pairs(expected, &roots);
        if pairs.iter().all(|pair| pair.agrees()) {
            return None;
        }
        let of = |side: fn(&crate::expected_span::Pair<'_>) -> Option<Shown>| {
            shown::forest(&pairs.iter().filter_map(side).collect::<Vec<_>>())
        };
        let (expected, recorded) = (of(|pair| pair.expected()), of(|pair| pair.recorded()));
        Some(difference(&expected, &recorded))
    }
}

impl Deref for Spans {
    type Target = [Span];

    fn deref(&self) -> &[Span] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Spans {
    type Item = &'a Span;
    type IntoIter = slice::Iter<'a, Span>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots = self.roots();
        let roots: Vec<_> = roots.iter().map(Shown::whole).collect();
        f.write_str(&shown::forest(&roots))
    }
}
