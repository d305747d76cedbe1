//! A span as lines that a person can read, and a tree of them.

use std::fmt::Write;

use opentelemetry::{Value, trace::SpanKind};

use crate::spans::Node;

/// What is to be seen of a span.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) kind: Option<SpanKind>,
    pub(crate) failed: bool,
    /// Sorted by their keys.
    pub(crate) attributes: Vec<(String, Option<Value>)>,
    pub(crate) children: Vec<Self>,
}

impl Shown {
    /// All there is.
    pub(crate) fn whole(node: &Node<'_>) -> Self {
        let attributes = node.span.attributes.iter();
        let attributes = attributes.map(|a| (a.key.to_string(), Some(a.value.clone())));
        Self::new(
            node,
            Some(node.span.span_kind.clone()),
            attributes.collect(),
            node.children.iter().map(Self::whole).collect(),
        )
    }

    pub(crate) fn new(
        node: &Node<'_>,
        kind: Option<SpanKind>,
        mut attributes: Vec<(String, Option<Value>)>,
        children: Vec<Self>,
    ) -> Self {
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self {
            name: node.span.name.to_string(),
            kind,
            failed: node.span.is_failed(),
            attributes,
            children,
        }
    }

    fn head(&self) -> String {
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

/// One tree below the other, by indentation alone: a line does not change with its neighbours, so that a
/// difference is where it is.
pub(crate) fn forest(roots: &[Shown]) -> String {
    if roots.is_empty() {
        return String::from("(no span)\n");
    }
    let mut text = String::new();
    write(&mut text, "", roots);
    text
}

fn write(text: &mut String, indent: &str, spans: &[Shown]) {
    for span in spans {
        let _ = writeln!(text, "{indent}{}", span.head());
        for (key, value) in &span.attributes {
            let value = value.as_ref();
            let value = value.map_or_else(|| String::from("(absent)"), literal);
            let _ = writeln!(text, "{indent}    {key} = {value}");
        }
        write(text, &format!("{indent}  "), &span.children);
    }
}

/// A string in quotes, so that `"200"` is not taken for `200`.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.as_str()),
        other => other.to_string(),
    }
}
