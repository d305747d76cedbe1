//! What a test expects of a span, and which span it expects it of.

use std::collections::BTreeMap;

use opentelemetry::{Value, trace::SpanKind};

use crate::{
    span_text::Shown,
    spans::{Node, Span},
};

/// What a span has to be. What is not said is not compared, but for two things: a span that is not
/// [failed](Self::failed) must not be, and its children are these and no others.
#[derive(Clone, Debug)]
pub struct ExpectedSpan {
    name: String,
    kind: Option<SpanKind>,
    failed: bool,
    // None: it must not be there.
    attributes: BTreeMap<String, Option<Value>>,
    children: Vec<Self>,
}

/// Expects a span of this name.
///
/// ```
/// use tower_otel_test::{SpanKind, span};
///
/// span("GET /users/{id}")
///     .kind(SpanKind::Server)
///     .attribute("http.response.status_code", 200)
///     .without("error.type")
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
    /// The span is of this kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The span's status is an error.
    #[must_use]
    pub fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// The span has this attribute with this value, a number being no string.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(key.into(), Some(value.into()));
        self
    }

    /// The span does not have this attribute.
    #[must_use]
    pub fn without(mut self, key: impl Into<String>) -> Self {
        self.attributes.insert(key.into(), None);
        self
    }

    /// The span has this child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Whether the span itself is as expected, whatever its children are.
    fn is(&self, span: &Span) -> bool {
        let says = |(key, value): (&String, &Option<Value>)| span.attribute(key) == value.as_ref();
        self.name == span.name
            && self.failed == span.is_failed()
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| *kind == span.span_kind)
            && self.attributes.iter().all(says)
    }

    fn matches(&self, node: &Node<'_>) -> bool {
        self.is(node.span)
            && self.children.len() == node.children.len()
            && pairs(&self.children, &node.children)
                .iter()
                .all(Pair::agrees)
    }

    fn shown(&self, children: Vec<Shown>) -> Shown {
        Shown {
            name: self.name.clone(),
            kind: self.kind.clone(),
            failed: self.failed,
            attributes: self.attributes.clone().into_iter().collect(),
            children,
        }
    }
}

/// An expected span and the one that is taken for it; or one that has no counterpart.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    expected: Option<&'a ExpectedSpan>,
    recorded: Option<&'a Node<'a>>,
    agrees: bool,
    children: Vec<Pair<'a>>,
}

impl<'a> Pair<'a> {
    fn new(expected: Option<&'a ExpectedSpan>, recorded: Option<&'a Node<'a>>) -> Self {
        let children = pairs(
            expected.map_or(&[], |expected| &expected.children),
            recorded.map_or(&[], |recorded| &recorded.children),
        );
        let same = expected
            .zip(recorded)
            .is_some_and(|(expected, node)| expected.is(node.span));
        Self {
            expected,
            recorded,
            agrees: same && children.iter().all(Self::agrees),
            children,
        }
    }

    pub(crate) const fn agrees(&self) -> bool {
        self.agrees
    }

    pub(crate) fn expected(&self) -> Option<Shown> {
        let children = self.children.iter().filter_map(Self::expected).collect();
        Some(self.expected?.shown(children))
    }

    /// Of the span that was recorded, what the expected one speaks of.
    pub(crate) fn recorded(&self) -> Option<Shown> {
        let node = self.recorded?;
        let kind = self.expected.is_none_or(|expected| expected.kind.is_some());
        let keys = self
            .expected
            .into_iter()
            .flat_map(|expected| expected.attributes.keys());
        let attributes = keys.map(|key| (key.clone(), node.span.attribute(key).cloned()));
        Some(Shown::new(
            node,
            kind.then(|| node.span.span_kind.clone()),
            attributes.collect(),
            self.children.iter().filter_map(Self::recorded).collect(),
        ))
    }
}

/// Finds for every expected span the one that is meant: one that matches, if they can be so
/// distributed, else one of the same name.
pub(crate) fn pairs<'a>(expected: &'a [ExpectedSpan], recorded: &'a [Node<'a>]) -> Vec<Pair<'a>> {
    let mut taken = Taken(vec![None; recorded.len()]);
    let matching: Vec<Vec<usize>> = expected
        .iter()
        .map(|expected| indices(recorded, |node| expected.matches(node)))
        .collect();
    for wanted in 0..expected.len() {
        taken.take(wanted, &matching, &mut vec![false; recorded.len()]);
    }
    for (wanted, expected) in expected.iter().enumerate() {
        if taken.by(wanted).is_none() {
            let named = indices(recorded, |node| expected.name == node.span.name);
            taken.take_free(wanted, &named);
        }
    }
    let wanted = expected.iter().enumerate().map(|(wanted, expected)| {
        let node = taken.by(wanted).and_then(|index| recorded.get(index));
        Pair::new(Some(expected), node)
    });
    let surplus = recorded.iter().zip(&taken.0).filter(|(_, by)| by.is_none());
    let surplus = surplus.map(|(node, _)| Pair::new(None, Some(node)));
    wanted.chain(surplus).collect()
}

fn indices(recorded: &[Node<'_>], is: impl Fn(&Node<'_>) -> bool) -> Vec<usize> {
    let nodes = recorded.iter().enumerate();
    nodes
        .filter(|(_, node)| is(node))
        .map(|(index, _)| index)
        .collect()
}

/// For every recorded span, which expected one has taken it.
struct Taken(Vec<Option<usize>>);

impl Taken {
    fn by(&self, wanted: usize) -> Option<usize> {
        self.0.iter().position(|by| *by == Some(wanted))
    }

    /// Takes one of the spans that match; if all are taken, one whose taker can have another.
    fn take(&mut self, wanted: usize, matching: &[Vec<usize>], tried: &mut [bool]) -> bool {
        for &index in matching.get(wanted).into_iter().flatten() {
            let Some(tried_before) = tried.get_mut(index) else {
                continue;
            };
            if std::mem::replace(tried_before, true) {
                continue;
            }
            let taker = self.0.get(index).copied().flatten();
            if taker.is_none_or(|taker| self.take(taker, matching, tried)) {
                if let Some(slot) = self.0.get_mut(index) {
                    *slot = Some(wanted);
                }
                return true;
            }
        }
        false
    }

    fn take_free(&mut self, wanted: usize, candidates: &[usize]) {
        let mut candidates = candidates.iter();
        let free = candidates.find(|index| self.0.get(**index) == Some(&None));
        if let Some(slot) = free.and_then(|index| self.0.get_mut(*index)) {
            *slot = Some(wanted);
        }
    }
}
