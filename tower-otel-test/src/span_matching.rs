//! Assigns recorded spans to expected spans.

use crate::{expected_span::ExpectedSpan, span_node::SpanNode, span_text::SpanText};

/// An expected span and the recorded span assigned to it, or one of them alone.
#[derive(Debug)]
pub(crate) struct SpanPair<'a> {
    expected: Option<&'a ExpectedSpan>,
    recorded: Option<&'a SpanNode<'a>>,
    is_match: bool,
    children: Vec<SpanPair<'a>>,
}

impl<'a> SpanPair<'a> {
    fn new(expected: Option<&'a ExpectedSpan>, recorded: Option<&'a SpanNode<'a>>) -> Self {
        let children = match_spans(
            expected.map_or(&[], |expected| &expected.children),
            recorded.map_or(&[], |recorded| &recorded.children),
        );
        let matches = expected
            .zip(recorded)
            .is_some_and(|(expected, node)| expected.matches_ignoring_children(node.span));
        Self {
            expected,
            recorded,
            is_match: matches && children.iter().all(Self::is_match),
            children,
        }
    }

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

    /// Returns the text of the recorded span, with only what the expected span compares.
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

/// Pairs each expected span with a recorded one: with one that matches, in the assignment that matches
/// most, else with one of the same name. Spans that remain are pairs of their own.
pub(crate) fn match_spans<'a>(
    expected: &'a [ExpectedSpan],
    recorded: &'a [SpanNode<'a>],
) -> Vec<SpanPair<'a>> {
    let mut assignment = Assignment(vec![None; recorded.len()]);
    let candidates: Vec<Vec<usize>> = expected
        .iter()
        .map(|expected| indices(recorded, |node| matches(expected, node)))
        .collect();
    for index in 0..expected.len() {
        assignment.assign(index, &candidates, &mut vec![false; recorded.len()]);
    }
    for (index, expected) in expected.iter().enumerate() {
        if assignment.recorded(index).is_none() {
            let same_name = indices(recorded, |node| expected.name == node.span.name);
            assignment.assign_free(index, &same_name);
        }
    }
    let pairs = expected.iter().enumerate().map(|(index, expected)| {
        let node = assignment
            .recorded(index)
            .and_then(|index| recorded.get(index));
        SpanPair::new(Some(expected), node)
    });
    let unexpected = recorded.iter().zip(&assignment.0);
    let unexpected = unexpected.filter(|(_, expected)| expected.is_none());
    let unexpected = unexpected.map(|(node, _)| SpanPair::new(None, Some(node)));
    pairs.chain(unexpected).collect()
}

/// Returns whether the span and all its descendants match.
fn matches(expected: &ExpectedSpan, node: &SpanNode<'_>) -> bool {
    expected.matches_ignoring_children(node.span)
        && expected.children.len() == node.children.len()
        && match_spans(&expected.children, &node.children)
            .iter()
            .all(SpanPair::is_match)
}

fn indices(recorded: &[SpanNode<'_>], matches: impl Fn(&SpanNode<'_>) -> bool) -> Vec<usize> {
    let nodes = recorded.iter().enumerate();
    nodes
        .filter(|(_, node)| matches(node))
        .map(|(index, _)| index)
        .collect()
}

/// A bipartite matching: for each recorded span, the index of its expected span.
struct Assignment(Vec<Option<usize>>);

impl Assignment {
    /// Returns the index of the recorded span assigned to an expected one.
    fn recorded(&self, expected: usize) -> Option<usize> {
        self.0.iter().position(|owner| *owner == Some(expected))
    }

    /// Assigns one of the candidates. If all are assigned, reassigns them along an augmenting path.
    fn assign(&mut self, expected: usize, candidates: &[Vec<usize>], visited: &mut [bool]) -> bool {
        for &index in candidates.get(expected).into_iter().flatten() {
            let Some(was_visited) = visited.get_mut(index) else {
                continue;
            };
            if std::mem::replace(was_visited, true) {
                continue;
            }
            let owner = self.0.get(index).copied().flatten();
            if owner.is_none_or(|owner| self.assign(owner, candidates, visited)) {
                if let Some(slot) = self.0.get_mut(index) {
                    *slot = Some(expected);
                }
                return true;
            }
        }
        false
    }

    /// Assigns the first candidate that is not assigned.
    fn assign_free(&mut self, expected: usize, candidates: &[usize]) {
        let mut candidates = candidates.iter();
        let free = candidates.find(|index| self.0.get(**index) == Some(&None));
        if let Some(slot) = free.and_then(|index| self.0.get_mut(*index)) {
            *slot = Some(expected);
        }
    }
}
