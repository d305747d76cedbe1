//! Renders a trace as a tree: one line per span below its parent, with a bar for its time, in 80 columns.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use opentelemetry::SpanId;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::span_details::{self, Details};
use crate::terminal::{Color, Style, cut, duration, fit, printable};

/// The maximum number of columns of a line.
const WIDTH: usize = 80;
const MIN_NAME_WIDTH: usize = 20;
/// The maximum width of a name. Longer names are cut.
const MAX_NAME_WIDTH: usize = 32;
const BAR_WIDTH: usize = 12;
const DURATION_WIDTH: usize = 7;
/// The maximum width of a branch. Only the last columns of longer branches are shown.
const MAX_BRANCH_WIDTH: usize = 18;
/// The maximum depth of the tree. `…` replaces deeper spans.
const MAX_DEPTH: usize = 32;

/// Returns the lines of a trace, or an empty text without spans.
pub(crate) fn render(spans: &[SpanData], style: Style) -> String {
    let (Some(start), Some(end)) = (
        spans.iter().map(|span| span.start_time).min(),
        spans.iter().map(|span| span.end_time).max(),
    ) else {
        return String::new();
    };
    let total = duration_between(start, end);
    let mut sorted: Vec<&SpanData> = spans.iter().collect();
    sorted.sort_by_key(|span| span.start_time);
    let ids: std::collections::HashSet<SpanId> = spans
        .iter()
        .map(|span| span.span_context.span_id())
        .collect();
    let mut children: HashMap<SpanId, Vec<&SpanData>> = HashMap::new();
    let mut roots = Vec::new();
    for span in sorted {
        if ids.contains(&span.parent_span_id) {
            children.entry(span.parent_span_id).or_default().push(span);
        } else {
            roots.push(span);
        }
    }
    let mut text = title(&roots, spans, total, style);
    let mut rows = Rows {
        children,
        rows: Vec::new(),
    };
    for root in roots {
        rows.add(root, "", "", 0);
    }
    let names = rows.rows.iter().map(|row| row.name.chars().count());
    let columns = Columns {
        style,
        start,
        total,
        name: names.fold(MIN_NAME_WIDTH, usize::max).min(MAX_NAME_WIDTH),
    };
    for row in &rows.rows {
        columns.write(row, &mut text);
    }
    text
}

/// Returns the line above the spans: the name of the first root, the number of spans, their duration, and the trace id, which
/// has a line of its own where it does not fit.
fn title(roots: &[&SpanData], spans: &[SpanData], total: Duration, style: Style) -> String {
    let title = match roots.first() {
        Some(root) if root.parent_span_id == SpanId::INVALID || root.parent_span_is_remote => {
            format!("Trace of {}", cut(&printable(&root.name), MAX_NAME_WIDTH))
        }
        // Its parent ended earlier, and was printed then.
        _ => "Part of a trace".to_owned(),
    };
    let count = match spans.len() {
        1 => "1 span".to_owned(),
        count => format!("{count} spans"),
    };
    let kept = spans.iter().find_map(span_details::keep_reason);
    let kept = kept.map_or_else(String::new, |reason| {
        format!(", kept: {}", cut(&reason, 10))
    });
    let facts = format!("{count}, {}{kept}", duration(total));
    let id = spans
        .first()
        .map(|span| span.span_context.trace_id().to_string());
    let id = id.unwrap_or_default();
    let used = [&title, &facts, &id].map(|part| part.chars().count());
    let gap = match used.iter().sum::<usize>() + 4 <= WIDTH {
        true => "  ",
        false => "\n",
    };
    let (title, id) = (
        style.paint(Color::Bold, &title),
        style.paint(Color::Dim, &id),
    );
    format!("{title}  {facts}{gap}{id}\n")
}

/// A span with its place in the tree.
struct Row<'a> {
    /// `None` in place of spans that are too deep.
    span: Option<&'a SpanData>,
    /// The branch and the name of the span.
    name: String,
    /// The branches of a second line.
    trunk: String,
}

struct Rows<'a> {
    children: HashMap<SpanId, Vec<&'a SpanData>>,
    rows: Vec<Row<'a>>,
}

impl<'a> Rows<'a> {
    /// Adds a row for the span, prefixed with `branch`, and rows for its descendants, prefixed with `trunk`.
    fn add(&mut self, span: &'a SpanData, branch: &str, trunk: &str, depth: usize) {
        let children = self.children.remove(&span.span_context.span_id());
        let mut children = children.unwrap_or_default().into_iter().peekable();
        let below = match children.peek() {
            Some(_) => "│  ",
            None => "   ",
        };
        self.rows.push(Row {
            span: Some(span),
            name: format!("{}{}", visible_branch(branch), printable(&span.name)),
            trunk: visible_branch(&format!("{trunk}{below}")),
        });
        if depth == MAX_DEPTH {
            if children.peek().is_some() {
                self.rows.push(Row {
                    span: None,
                    name: format!("{}…", visible_branch(&format!("{trunk}└─ "))),
                    trunk: String::new(),
                });
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
}

/// Returns the last columns of a branch.
fn visible_branch(branch: &str) -> String {
    let hidden = branch.chars().count().saturating_sub(MAX_BRANCH_WIDTH);
    match hidden {
        0 => branch.to_owned(),
        hidden => format!("…{}", branch.chars().skip(hidden + 1).collect::<String>()),
    }
}

/// The columns of a trace.
struct Columns {
    style: Style,
    start: SystemTime,
    total: Duration,
    /// The width of the names.
    name: usize,
}

impl Columns {
    /// Writes the line of a span, and a second one for an error that does not fit.
    fn write(&self, row: &Row<'_>, text: &mut String) {
        let name = fit(&row.name, self.name);
        let Some(span) = row.span else {
            text.push_str(name.trim_end());
            text.push('\n');
            return;
        };
        let color = match (&span.status, &span.span_kind) {
            (Status::Error { .. }, _) => Color::Red,
            (_, SpanKind::Server | SpanKind::Consumer) => Color::Cyan,
            (_, SpanKind::Client | SpanKind::Producer) => Color::Blue,
            (_, SpanKind::Internal) => Color::Green,
        };
        let elapsed = duration(duration_between(span.start_time, span.end_time));
        let (status, status_color) = span_details::status(span);
        let Details { target, error } = span_details::details(span);
        let status = format!("{status:<3}");
        let used = self.name + BAR_WIDTH + DURATION_WIDTH + status.chars().count() + 5;
        let room = WIDTH.saturating_sub(used);
        let whole = format!("{target} {error}");
        let whole = whole.trim();
        let (shown, below) = match whole.chars().count() <= room {
            true => (whole, ""),
            false => (&*target, &*error),
        };
        let line = format!(
            "{name} {} {elapsed:>DURATION_WIDTH$}  {} {}",
            self.style.paint(color, &self.bar(span)),
            self.style.paint(status_color, &status),
            self.style.paint(Color::Dim, &cut(shown, room)),
        );
        text.push_str(line.trim_end());
        text.push('\n');
        if !below.is_empty() {
            let below = cut(below, WIDTH.saturating_sub(row.trunk.chars().count()));
            let below = self.style.paint(Color::Red, &below);
            text.push_str(&format!("{}{below}\n", row.trunk));
        }
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

/// Returns the duration between two times, or zero if the clock was set back between them.
fn duration_between(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

#[cfg(test)]
#[path = "trace_tree_tests.rs"]
mod tests;
