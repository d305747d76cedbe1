//! Assigns recorded spans to expected spans.

use std::collections::HashMap;

use crate::{
    assignment::Assignment, expected_span::ExpectedSpan, span_node::SpanNode, span_text::SpanText,
};

/// An expected span and the recorded span assigned to it, or one of them alone.
#[derive(Debug)]
pub(crate) struct SpanPair<'a> {
    expected: Option<&'a ExpectedSpan>,
    recorded: Option<&'a SpanNode<'a>>,
    is_match: bool,
    children: Vec<SpanPair<'a>>,
}

impl SpanPair<'_> {
    /// Returns whether the spans and all their descendants match.
    pub(crate) const fn is_match(&self) -> bool {
        self.is_match
    }

    /// Returns the text of the expected span.
    pub(crate) fn expected(&self) -> Option<SpanText> {
        let expected = self.expected?;
        Some(SpanText {
            name: expected.name.clone(),
            kind: expected.kind.clone(),
            failed: expected.failed,
            attributes: expected.attributes.clone().into_iter().collect(),
            children: self.children.iter().filter_map(Self::expected).collect(),
        })
    }

    /// Returns the text of the recorded span, with only the parts that the expected span compares.
    pub(crate) fn recorded(&self) -> Option<SpanText> {
        let node = self.recorded?;
        let has_kind = self.expected.is_none_or(|expected| expected.kind.is_some());
        let keys = self
            .expected
            .into_iter()
            .flat_map(|expected| expected.attributes.keys());
        let attributes = keys.map(|key| (key.clone(), node.span.attribute(key).cloned()));
        Some(SpanText::new(
            node,
            has_kind.then(|| node.span.span_kind.clone()),
            attributes.collect(),
            self.children.iter().filter_map(Self::recorded).collect(),
        ))
    }
}

/// Pairs expected spans with recorded ones. First assigns as many matching spans as possible, then spans of
/// the same name. Each remaining span is alone in its pair.
pub(crate) fn match_spans<'a>(
    expected: &'a [ExpectedSpan],
    recorded: &'a [SpanNode<'a>],
) -> Vec<SpanPair<'a>> {
    Matcher::default().pairs(expected, recorded)
}

/// Compares spans with their descendants. Each expected span is compared with each recorded one at most once;
/// otherwise the time would be exponential in the depth of the trees.
#[derive(Default)]
struct Matcher {
    /// Whether two spans and all their descendants match, by their addresses.
    compared: HashMap<(*const ExpectedSpan, *const ()), bool>,
}

impl Matcher {
    fn pairs<'a>(
        &mut self,
        expected: &'a [ExpectedSpan],
        recorded: &'a [SpanNode<'a>],
    ) -> Vec<SpanPair<'a>> {
        let mut assignment = self.assign(expected, recorded);
        for (index, expected) in expected.iter().enumerate() {
            if assignment.recorded(index).is_none() {
                let same_name = indices(recorded, |node| expected.name == node.span.name);
                assignment.assign_free(index, &same_name);
            }
        }
        let mut pairs = Vec::new();
        for (index, expected) in expected.iter().enumerate() {
            let assigned = assignment.recorded(index);
            let node = assigned.and_then(|index| recorded.get(index));
            pairs.push(self.pair(Some(expected), node));
        }
        for (index, node) in recorded.iter().enumerate() {
            if assignment.is_free(index) {
                pairs.push(self.pair(None, Some(node)));
            }
        }
        pairs
    }

    fn pair<'a>(
        &mut self,
        expected: Option<&'a ExpectedSpan>,
        recorded: Option<&'a SpanNode<'a>>,
    ) -> SpanPair<'a> {
        let both = expected.zip(recorded);
        SpanPair {
            expected,
            recorded,
            is_match: both.is_some_and(|(expected, node)| self.matches(expected, node)),
            children: self.pairs(
                expected.map_or(&[], |expected| &expected.children),
                recorded.map_or(&[], |recorded| &recorded.children),
            ),
        }
    }

    /// Returns whether the span and all its descendants match.
    fn matches(&mut self, expected: &ExpectedSpan, node: &SpanNode<'_>) -> bool {
        if !expected.matches_ignoring_children(node.span)
            || expected.children.len() != node.children.len()
        {
            return false;
        }
        let addresses = (
            std::ptr::from_ref(expected),
            std::ptr::from_ref(node).cast(),
        );
        if let Some(matches) = self.compared.get(&addresses) {
            return *matches;
        }
        let matches = self
            .assign(&expected.children, &node.children)
            .is_complete();
        self.compared.insert(addresses, matches);
        matches
    }

    /// Assigns matching recorded spans to as many expected spans as possible.
    fn assign(&mut self, expected: &[ExpectedSpan], recorded: &[SpanNode<'_>]) -> Assignment {
        let candidates: Vec<Vec<usize>> = expected
            .iter()
            .map(|expected| indices(recorded, |node| self.matches(expected, node)))
            .collect();
        Assignment::largest(&candidates, recorded.len())
    }
}

fn indices(
    recorded: &[SpanNode<'_>],
    mut matches: impl FnMut(&SpanNode<'_>) -> bool,
) -> Vec<usize> {
    let nodes = recorded.iter().enumerate();
    nodes
        .filter(|(_, node)| matches(node))
        .map(|(index, _)| index)
        .collect()
}
