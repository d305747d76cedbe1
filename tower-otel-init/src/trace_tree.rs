//! One trace as a tree: a line for each span below its parent, with a bar for when it ran.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use opentelemetry::SpanId;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_semantic_conventions::attribute as key;

use crate::terminal::{Colour, Style, duration, fit, printable};

const NAME_WIDTH: usize = 40;
const BAR_WIDTH: usize = 24;
/// A value longer than this is cut, and so is a tree deeper than that.
const VALUE_WIDTH: usize = 40;
const DEPTH: usize = 32;

pub(crate) fn draw(spans: &[SpanData], style: Style) -> String {
    let (Some(start), Some(end), Some(first)) = (
        spans.iter().map(|span| span.start_time).min(),
        spans.iter().map(|span| span.end_time).max(),
        spans.first(),
    ) else {
        return String::new();
    };
    let total = since(start, end);
    let title = format!("Trace {}", first.span_context.trace_id());
    let count = match spans.len() {
        1 => "1 span".to_owned(),
        count => format!("{count} spans"),
    };
    let title = style.paint(Colour::Bold, &title);
    let mut tree = Tree {
        below: HashMap::new(),
        style,
        start,
        total,
        text: format!("{title}  {count}, {}\n", duration(total)),
    };
    let mut sorted: Vec<&SpanData> = spans.iter().collect();
    sorted.sort_by_key(|span| span.start_time);
    let here: std::collections::HashSet<SpanId> = spans
        .iter()
        .map(|span| span.span_context.span_id())
        .collect();
    let mut roots = Vec::new();
    for span in sorted {
        if here.contains(&span.parent_span_id) {
            let siblings = tree.below.entry(span.parent_span_id).or_default();
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
    below: HashMap<SpanId, Vec<&'a SpanData>>,
    style: Style,
    start: SystemTime,
    total: Duration,
    text: String,
}

impl Tree<'_> {
    /// Adds a line for the span after `branch`, and lines for what is below it after `trunk`.
    fn add(&mut self, span: &SpanData, branch: &str, trunk: &str, depth: usize) {
        self.line(span, branch);
        let below = self.below.remove(&span.span_context.span_id());
        let mut below = below.unwrap_or_default().into_iter().peekable();
        if depth == DEPTH {
            if below.peek().is_some() {
                self.text.push_str(&format!("{trunk}└─ …\n"));
            }
            return;
        }
        while let Some(child) = below.next() {
            let (fork, next) = match below.peek() {
                Some(_) => ("├─ ", "│  "),
                None => ("└─ ", "   "),
            };
            let (branch, trunk) = (format!("{trunk}{fork}"), format!("{trunk}{next}"));
            self.add(child, &branch, &trunk, depth + 1);
        }
    }

    fn line(&mut self, span: &SpanData, branch: &str) {
        let failed = matches!(span.status, Status::Error { .. });
        let (kind, colour) = match span.span_kind {
            SpanKind::Server => ("server", Colour::Cyan),
            SpanKind::Client => ("client", Colour::Blue),
            SpanKind::Producer => ("sends", Colour::Blue),
            SpanKind::Consumer => ("takes", Colour::Cyan),
            SpanKind::Internal => ("", Colour::Green),
        };
        let colour = if failed { Colour::Red } else { colour };
        let name = fit(&format!("{branch}{}", printable(&span.name)), NAME_WIDTH);
        let took = duration(since(span.start_time, span.end_time));
        let status = attribute(span, key::HTTP_RESPONSE_STATUS_CODE).unwrap_or_default();
        let status = if status.is_empty() && failed {
            "ERR".to_owned()
        } else {
            status
        };
        let line = format!(
            "{name} {} {took:>8}  {} {} {}",
            self.style.paint(colour, &self.bar(span)),
            self.style.paint(Colour::Dim, &format!("{kind:<6}")),
            self.style.paint(colour, &format!("{status:<3}")),
            self.style.paint(Colour::Dim, &details(span)),
        );
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// At least one cell, so that every span is seen.
    fn bar(&self, span: &SpanData) -> String {
        let cells = BAR_WIDTH as f64 / self.total.as_secs_f64().max(f64::MIN_POSITIVE);
        let cell = |at| since(self.start, at).as_secs_f64() * cells;
        let first = (cell(span.start_time).round() as usize).min(BAR_WIDTH - 1);
        let last = (cell(span.end_time).round() as usize).clamp(first + 1, BAR_WIDTH);
        let bar = format!("{}{}", " ".repeat(first), "█".repeat(last - first));
        fit(&bar, BAR_WIDTH)
    }
}

/// Who served or was asked, what went wrong, and what handlers say of themselves.
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
                .filter(|own| {
                    !MACHINERY
                        .iter()
                        .any(|noise| own.key.as_str().starts_with(noise))
                })
                .map(|own| format!("{}={}", printable(own.key.as_str()), shown(&own.value))),
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

/// What `tracing-opentelemetry` says of the code rather than of what it did.
const MACHINERY: [&str; 6] = [
    "code.",
    "thread.",
    "busy_ns",
    "idle_ns",
    "target",
    key::ERROR_TYPE,
];

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|own| own.key.as_str() == key)?;
    Some(shown(&attribute.value))
}

fn shown(value: &opentelemetry::Value) -> String {
    let value = printable(&value.as_str());
    if value.chars().count() > VALUE_WIDTH {
        fit(&value, VALUE_WIDTH)
    } else {
        value
    }
}

/// Clocks may be set back meanwhile.
fn since(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

#[cfg(test)]
#[path = "trace_tree_tests.rs"]
mod tests;
