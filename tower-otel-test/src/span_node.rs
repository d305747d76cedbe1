//! Spans as trees.

use crate::span::Span;

/// A span and its children.
#[derive(Debug)]
pub(crate) struct SpanNode<'a> {
    pub(crate) span: &'a Span,
    pub(crate) children: Vec<Self>,
}

impl<'a> SpanNode<'a> {
    /// Returns a tree for each span whose parent is not among the spans.
    pub(crate) fn roots(spans: &'a [Span]) -> Vec<Self> {
        let has_parent = |span: &Span| spans.iter().any(|other| span.is_child_of(other));
        let roots = spans.iter().filter(|span| !has_parent(span));
        roots.map(|root| Self::new(root, spans)).collect()
    }

    fn new(span: &'a Span, spans: &'a [Span]) -> Self {
        let children = spans.iter().filter(|other| other.is_child_of(span));
        Self {
            span,
            children: children.map(|child| Self::new(child, spans)).collect(),
        }
    }
}
