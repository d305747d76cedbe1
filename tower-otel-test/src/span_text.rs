//! Renders spans as indented text.

use std::fmt::Write;

use opentelemetry::{Value, trace::SpanKind};

use crate::span_node::SpanNode;

/// The parts of a span to render.
#[derive(Debug)]
pub(crate) struct SpanText {
    pub(crate) name: String,
    pub(crate) kind: Option<SpanKind>,
    pub(crate) failed: bool,
    /// Sorted by key. `None` for an absent attribute.
    pub(crate) attributes: Vec<(String, Option<Value>)>,
    pub(crate) children: Vec<Self>,
}

impl SpanText {
    /// Returns the text of a span with its kind, all attributes and all descendants.
    pub(crate) fn complete(node: &SpanNode<'_>) -> Self {
        let attributes = node.span.attributes.iter();
        let attributes =
            attributes.map(|attribute| (attribute.key.to_string(), Some(attribute.value.clone())));
        Self::new(
            node,
            Some(node.span.span_kind.clone()),
            attributes.collect(),
            node.children.iter().map(Self::complete).collect(),
        )
    }

    pub(crate) fn new(
        node: &SpanNode<'_>,
        kind: Option<SpanKind>,
        mut attributes: Vec<(String, Option<Value>)>,
        children: Vec<Self>,
    ) -> Self {
        attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            name: node.span.name.to_string(),
            kind,
            failed: node.span.is_failed(),
            attributes,
            children,
        }
    }

    fn first_line(&self) -> String {
        let kind = match self.kind {
            None | Some(SpanKind::Internal) => "",
            Some(SpanKind::Server) => "  server",
            Some(SpanKind::Client) => "  client",
            Some(SpanKind::Producer) => "  producer",
            Some(SpanKind::Consumer) => "  consumer",
        };
        let failed = if self.failed { "  failed" } else { "" };
        format!("{}{kind}{failed}", self.name)
    }
}

/// Returns the lines of all trees. Only indentation shows the structure, so a difference in one line does not
/// change its neighbors.
pub(crate) fn render(roots: &[SpanText]) -> String {
    if roots.is_empty() {
        return String::from("(no span)\n");
    }
    let mut text = String::new();
    write(&mut text, "", roots);
    text
}

fn write(text: &mut String, indent: &str, spans: &[SpanText]) {
    for span in spans {
        let _ = writeln!(text, "{indent}{}", span.first_line());
        for (key, value) in &span.attributes {
            let value = value.as_ref();
            let value = value.map_or_else(|| String::from("(absent)"), literal);
            let _ = writeln!(text, "{indent}    {key} = {value}");
        }
        write(text, &format!("{indent}  "), &span.children);
    }
}

/// Returns a value with strings in quotes, to distinguish `"200"` from `200`.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.as_str()),
        other => other.to_string(),
    }
}
