//! All ended spans.

use std::{fmt, ops::Deref};

use opentelemetry_sdk::trace::SpanData;

use crate::{
    diff::diff,
    expected_span::ExpectedSpan,
    span::Span,
    span_matching::{SpanPair, match_spans},
    span_node::SpanNode,
    span_text::{SpanText, render},
};

/// The spans that have ended, sorted by start time.
///
/// `Display` shows them as a tree with all attributes. A span whose parent has not ended, or is in
/// another process, is a root. `Spans` dereferences to a slice.
#[derive(Clone, Debug, Default)]
pub struct Spans(Vec<Span>);

impl Spans {
    pub(crate) fn new(mut spans: Vec<SpanData>) -> Self {
        spans.sort_by_key(|span| span.start_time);
        Self(spans.into_iter().map(Span::new).collect())
    }

    /// Returns the difference from the expected spans, or `None` if all match.
    pub(crate) fn difference(&self, expected: &[ExpectedSpan]) -> Option<String> {
        let roots = SpanNode::roots(self);
        let pairs = match_spans(expected, &roots);
        if pairs.iter().all(SpanPair::is_match) {
            return None;
        }
        let expected: Vec<_> = pairs.iter().filter_map(SpanPair::expected).collect();
        let recorded: Vec<_> = pairs.iter().filter_map(SpanPair::recorded).collect();
        Some(diff(&render(&expected), &render(&recorded)))
    }
}

impl Deref for Spans {
    type Target = [Span];

    fn deref(&self) -> &[Span] {
        &self.0
    }
}

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots = SpanNode::roots(self);
        let roots: Vec<_> = roots.iter().map(SpanText::complete).collect();
        f.write_str(&render(&roots))
    }
}
