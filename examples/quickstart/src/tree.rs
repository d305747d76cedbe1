//! One trace as a tree.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    SpanId,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

use crate::show::{Colour, Style, duration, fit};

/// What `server.address:server.port` is called.
pub(crate) type Names = BTreeMap<String, &'static str>;

const NAME_WIDTH: usize = 33;
const BAR_WIDTH: usize = 22;

/// The span a trace begins with, if nothing is missing: one root, and what a server did for every
/// request that was answered.
pub(crate) fn whole(spans: &[SpanData]) -> Option<&SpanData> {
    let mut roots = roots(spans);
    let root = roots.next()?;
    let answered = spans.iter().filter(|span| {
        span.span_kind == SpanKind::Client && attribute(span, "http.response.status_code").is_some()
    });
    let told = |span: &SpanData| children(spans, span).next().is_some();
    (roots.next().is_none() && answered.into_iter().all(told)).then_some(root)
}

/// Draws the spans of one trace below their parents, each with a bar that shows when it ran.
pub(crate) fn draw(spans: &[SpanData], names: &Names, style: Style) -> String {
    let (Some(start), Some(end)) = (
        spans.iter().map(|span| span.start_time).min(),
        spans.iter().map(|span| span.end_time).max(),
    ) else {
        return "no trace yet\n".to_owned();
    };
    let total = since(start, end);
    let id = spans.first().map(|span| span.span_context.trace_id());
    let title = format!("Trace {}", id.map(|id| id.to_string()).unwrap_or_default());
    let mut tree = Tree {
        spans,
        names,
        style,
        start,
        total,
        text: format!(
            "{}  {} spans, {}\n",
            style.paint(Colour::Bold, &title),
            spans.len(),
            duration(total)
        ),
    };
    for root in roots(spans) {
        tree.add(root, "", "");
    }
    tree.text
}

struct Tree<'a> {
    spans: &'a [SpanData],
    names: &'a Names,
    style: Style,
    start: SystemTime,
    total: Duration,
    text: String,
}

impl Tree<'_> {
    /// Adds a line for the span after `branch`, and lines for what is below it after `trunk`.
    fn add(&mut self, span: &SpanData, branch: &str, trunk: &str) {
        self.line(span, branch);
        let mut below = children(self.spans, span).peekable();
        while let Some(child) = below.next() {
            let (fork, next) = match below.peek() {
                Some(_) => ("├─ ", "│  "),
                None => ("└─ ", "   "),
            };
            self.add(child, &format!("{trunk}{fork}"), &format!("{trunk}{next}"));
        }
    }

    fn line(&mut self, span: &SpanData, branch: &str) {
        let failed = matches!(span.status, Status::Error { .. });
        let (kind, colour) = match span.span_kind {
            SpanKind::Server => ("server", Colour::Cyan),
            SpanKind::Client => ("client", Colour::Blue),
            _ => ("", Colour::Green),
        };
        let colour = if failed { Colour::Red } else { colour };
        let name = fit(&format!("{branch}{}", span.name), NAME_WIDTH);
        let took = duration(since(span.start_time, span.end_time));
        let status = attribute(span, "http.response.status_code").unwrap_or_default();
        let line = format!(
            "{name} {} {took:>8}  {} {} {}",
            self.style.paint(colour, &self.bar(span)),
            self.style.paint(Colour::Dim, &format!("{kind:<6}")),
            self.style.paint(colour, &format!("{status:<3}")),
            self.style.paint(Colour::Dim, &self.details(span)),
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
        fit(
            &format!("{}{}", " ".repeat(first), "█".repeat(last - first)),
            BAR_WIDTH,
        )
    }

    /// Who served or was asked, what went wrong, and what handlers say of themselves.
    fn details(&self, span: &SpanData) -> String {
        let mut details = Vec::new();
        let host = attribute(span, "server.address").map(|address| {
            let port = attribute(span, "server.port");
            let host = port.map_or(address.clone(), |port| format!("{address}:{port}"));
            self.names
                .get(&host)
                .map_or(host, |name| (*name).to_owned())
        });
        match span.span_kind {
            SpanKind::Client => details.extend(host.map(|host| format!("to {host}"))),
            SpanKind::Server => details.extend(host),
            _ => details.extend(
                span.attributes
                    .iter()
                    .map(|own| format!("{}={}", own.key, own.value)),
            ),
        }
        if let Some(error) = attribute(span, "error.type") {
            details.push(format!("error.type={error}"));
        }
        details.join(" ")
    }
}

/// Spans whose parents are not here, in the order of their starts.
fn roots(spans: &[SpanData]) -> impl Iterator<Item = &SpanData> {
    let orphaned = |span: &&SpanData| {
        let is_parent = |other: &SpanData| other.span_context.span_id() == span.parent_span_id;
        !spans.iter().any(is_parent)
    };
    by_start(spans.iter().filter(orphaned))
}

fn children<'a>(
    spans: &'a [SpanData],
    of: &SpanData,
) -> impl Iterator<Item = &'a SpanData> + use<'a> {
    let parent: SpanId = of.span_context.span_id();
    by_start(
        spans
            .iter()
            .filter(move |span| span.parent_span_id == parent),
    )
}

fn by_start<'a>(spans: impl Iterator<Item = &'a SpanData>) -> std::vec::IntoIter<&'a SpanData> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|span| span.start_time);
    spans.into_iter()
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|own| own.key.as_str() == key)?;
    Some(attribute.value.to_string())
}

/// Clocks may be set back meanwhile.
fn since(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        InstrumentationScope, KeyValue, TraceFlags, TraceId,
        trace::{SpanContext, TraceState},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span(
        id: u64,
        parent: u64,
        name: &'static str,
        kind: SpanKind,
        millis: [u64; 2],
    ) -> SpanData {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let [start, end] = millis;
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(0xabc),
                SpanId::from(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: at(start),
            end_time: at(end),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn with(mut span: SpanData, attributes: impl IntoIterator<Item = KeyValue>) -> SpanData {
        span.attributes.extend(attributes);
        span
    }

    fn at(port: i64) -> [KeyValue; 2] {
        [
            KeyValue::new("server.address", "127.0.0.1"),
            KeyValue::new("server.port", port),
        ]
    }

    fn status(code: i64) -> [KeyValue; 1] {
        [KeyValue::new("http.response.status_code", code)]
    }

    /// In the order of their ends, as they are exported.
    fn trace() -> Vec<SpanData> {
        let mut failed = span(4, 3, "GET /items/{sku}", SpanKind::Server, [110, 121]);
        failed.status = Status::error("");
        vec![
            with(
                span(2, 1, "price lookup", SpanKind::Internal, [101, 103]),
                [KeyValue::new("sku", "lamp")],
            ),
            with(
                failed,
                at(2)
                    .into_iter()
                    .chain(status(500))
                    .chain([KeyValue::new("error.type", "500")]),
            ),
            with(
                span(3, 1, "GET", SpanKind::Client, [103, 122]),
                at(2).into_iter().chain(status(500)),
            ),
            with(
                span(1, 0, "GET /products/{sku}", SpanKind::Server, [100, 122]),
                at(1).into_iter().chain(status(502)),
            ),
        ]
    }

    #[test]
    fn a_trace_is_drawn_parent_by_parent() {
        let names = Names::from([("127.0.0.1:1".to_owned(), "shop")]);
        let lines = [
            "Trace 00000000000000000000000000000abc  4 spans, 22.0 ms",
            "GET /products/{sku}               ██████████████████████  22.0 ms  server 502 shop",
            "├─ price lookup                    ██                     2.00 ms             sku=lamp",
            "└─ GET                               ███████████████████  19.0 ms  client 500 to 127.0.0.1:2",
            "   └─ GET /items/{sku}                      ███████████   11.0 ms  server 500 127.0.0.1:2 error.type=500",
        ];
        assert_eq!(
            draw(&trace(), &names, Style::PLAIN),
            lines.join("\n") + "\n"
        );
    }

    #[test]
    fn a_trace_is_whole_when_no_server_is_missing() {
        let mut spans = trace();
        assert_eq!(
            whole(&spans).map(|root| &*root.name),
            Some("GET /products/{sku}")
        );
        spans.remove(1);
        assert!(whole(&spans).is_none(), "an answer nobody gave");
        let mut spans = trace();
        spans.pop();
        assert!(whole(&spans).is_none(), "two roots");
        assert!(whole(&[]).is_none());
    }

    #[test]
    fn a_part_of_a_trace_is_drawn_as_what_it_is() {
        let mut spans = trace();
        spans.pop();
        let drawn = draw(&spans, &Names::new(), Style::PLAIN);
        assert!(drawn.contains("\nprice lookup"), "{drawn}");
        assert!(drawn.contains("\n└─ GET /items"), "{drawn}");
        assert_eq!(draw(&[], &Names::new(), Style::PLAIN), "no trace yet\n");
    }

    #[test]
    fn a_span_without_a_length_is_seen() {
        let spans = [span(1, 0, "now", SpanKind::Internal, [5, 5])];
        let drawn = draw(&spans, &Names::new(), Style::PLAIN);
        assert!(drawn.contains('█'), "{drawn}");
    }
}
