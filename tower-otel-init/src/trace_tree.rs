//! Renders a trace as a tree: one line per span below its parent, with a bar for its time.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use opentelemetry::SpanId;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_semantic_conventions::attribute as key;

use crate::terminal::{Color, Style, duration, fit, printable};

const NAME_WIDTH: usize = 40;
const BAR_WIDTH: usize = 24;
/// Longer values are cut.
const MAX_ATTRIBUTE_CHARS: usize = 40;
/// Deeper spans are replaced by `…`.
const MAX_DEPTH: usize = 32;

/// Returns the lines of a trace, or nothing if there is no span.
pub(crate) fn render(spans: &[SpanData], style: Style) -> String {
    let (Some(start), Some(end), Some(first)) = (
        spans.iter().map(|span| span.start_time).min(),
        spans.iter().map(|span| span.end_time).max(),
        spans.first(),
    ) else {
        return String::new();
    };
    let total = duration_between(start, end);
    let title = format!("Trace {}", first.span_context.trace_id());
    let count = match spans.len() {
        1 => "1 span".to_owned(),
        count => format!("{count} spans"),
    };
    let title = style.paint(Color::Bold, &title);
    let mut tree = Tree {
        children: HashMap::new(),
        style,
        start,
        total,
        text: format!("{title}  {count}, {}\n", duration(total)),
    };
    let mut sorted: Vec<&SpanData> = spans.iter().collect();
    sorted.sort_by_key(|span| span.start_time);
    let ids: std::collections::HashSet<SpanId> = spans
        .iter()
        .map(|span| span.span_context.span_id())
        .collect();
    let mut roots = Vec::new();
    for span in sorted {
        if ids.contains(&span.parent_span_id) {
            let siblings = tree.children.entry(span.parent_span_id).or_default();
            siblings.push(span);
        } else {
            roots.push(span);
        }
    }
    for root in roots {
        tree.add(root, "", "", 0);
    }
    tree.text
}

struct Tree<'a> {
    children: HashMap<SpanId, Vec<&'a SpanData>>,
    style: Style,
    start: SystemTime,
    total: Duration,
    text: String,
}

impl Tree<'_> {
    /// Adds a line for the span, prefixed with `branch`, and lines for its descendants, prefixed with
    /// `trunk`.
    fn add(&mut self, span: &SpanData, branch: &str, trunk: &str, depth: usize) {
        self.line(span, branch);
        let children = self.children.remove(&span.span_context.span_id());
        let mut children = children.unwrap_or_default().into_iter().peekable();
        if depth == MAX_DEPTH {
            if children.peek().is_some() {
                self.text.push_str(&format!("{trunk}└─ …\n"));
            }
            return;
        }
        while let Some(child) = children.next() {
            let (fork, next) = match children.peek() {
                Some(_) => ("├─ ", "│  "),
                None => ("└─ ", "   "),
            };
            let (branch, trunk) = (format!("{trunk}{fork}"), format!("{trunk}{next}"));
            self.add(child, &branch, &trunk, depth + 1);
        }
    }

    fn line(&mut self, span: &SpanData, branch: &str) {
        let failed = matches!(span.status, Status::Error { .. });
        let (kind, color) = match span.span_kind {
            SpanKind::Server => ("server", Color::Cyan),
            SpanKind::Client => ("client", Color::Blue),
            SpanKind::Producer => ("sends", Color::Blue),
            SpanKind::Consumer => ("takes", Color::Cyan),
            SpanKind::Internal => ("", Color::Green),
        };
        let color = if failed { Color::Red } else { color };
        let name = fit(&format!("{branch}{}", printable(&span.name)), NAME_WIDTH);
        let elapsed = duration(duration_between(span.start_time, span.end_time));
        let status = attribute(span, key::HTTP_RESPONSE_STATUS_CODE).unwrap_or_default();
        let status = if status.is_empty() && failed {
            "ERR".to_owned()
        } else {
            status
        };
        let line = format!(
            "{name} {} {elapsed:>8}  {} {} {}",
            self.style.paint(color, &self.bar(span)),
            self.style.paint(Color::Dim, &format!("{kind:<6}")),
            self.style.paint(color, &format!("{status:<3}")),
            self.style.paint(Color::Dim, &details(span)),
        );
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Returns the bar of a span. It has at least one cell.
    fn bar(&self, span: &SpanData) -> String {
        let cells = BAR_WIDTH as f64 / self.total.as_secs_f64().max(f64::MIN_POSITIVE);
        let cell = |at| duration_between(self.start, at).as_secs_f64() * cells;
        let first = (cell(span.start_time).round() as usize).min(BAR_WIDTH - 1);
        let last = (cell(span.end_time).round() as usize).clamp(first + 1, BAR_WIDTH);
        let bar = format!("{}{}", " ".repeat(first), "█".repeat(last - first));
        fit(&bar, BAR_WIDTH)
    }
}

/// Returns the details at the end of a line: the target of the span, the attributes of an internal span,
/// and the error.
fn details(span: &SpanData) -> String {
    let mut details = Vec::new();
    let host = attribute(span, key::SERVER_ADDRESS).map(|address| {
        match attribute(span, key::SERVER_PORT) {
            Some(port) => format!("{address}:{port}"),
            None => address,
        }
    });
    match span.span_kind {
        SpanKind::Client => details.extend(host.map(|host| format!("to {host}"))),
        SpanKind::Server => details.extend(attribute(span, key::URL_PATH)),
        SpanKind::Consumer => details.extend(
            attribute(span, key::MESSAGING_DESTINATION_NAME).map(|queue| format!("from {queue}")),
        ),
        SpanKind::Producer => details.extend(
            attribute(span, key::MESSAGING_DESTINATION_NAME).map(|queue| format!("to {queue}")),
        ),
        SpanKind::Internal => details.extend(
            span.attributes
                .iter()
                .filter(|attribute| {
                    !HIDDEN_PREFIXES
                        .iter()
                        .any(|prefix| attribute.key.as_str().starts_with(prefix))
                })
                .map(|attribute| {
                    let key = printable(attribute.key.as_str());
                    format!("{key}={}", short_value(&attribute.value))
                }),
        ),
    }
    if let Some(error) = attribute(span, key::ERROR_TYPE) {
        details.push(format!("error.type={error}"));
    }
    if let Status::Error { description } = &span.status
        && !description.is_empty()
    {
        details.push(printable(description));
    }
    details.join(" ")
}

/// Prefixes of attributes that are not shown: those that `tracing-opentelemetry` adds, and the error,
/// which has a place of its own.
const HIDDEN_PREFIXES: [&str; 6] = [
    "code.",
    "thread.",
    "busy_ns",
    "idle_ns",
    "target",
    key::ERROR_TYPE,
];

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)?;
    Some(short_value(&attribute.value))
}

fn short_value(value: &opentelemetry::Value) -> String {
    let value = printable(&value.as_str());
    if value.chars().count() > MAX_ATTRIBUTE_CHARS {
        fit(&value, MAX_ATTRIBUTE_CHARS)
    } else {
        value
    }
}

/// Returns zero if the clock was set back in between.
fn duration_between(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

#[cfg(test)]
#[path = "trace_tree_tests.rs"]
mod tests;
