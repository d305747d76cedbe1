//! Log lines to read on a terminal: time, level, the names of the spans, the message with its own fields, and the trace id.
//!
//! The fields of spans are omitted, because the span of a request has about ten. The trace shows them.

use std::fmt::{self, Write};

use opentelemetry::trace::SpanContext;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::current_context;
use crate::terminal::{Color, Style, printable};

/// Formats only the field `otel.name` of a span, its name in OpenTelemetry.
pub(crate) struct OtelName;

#[derive(Default)]
struct NameVisitor(Option<String>);

impl Visit for NameVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "otel.name" {
            self.0 = Some(printable(value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "otel.name" {
            let mut name = String::new();
            // `format!` would panic if the value returns an error.
            self.0 = write!(name, "{value:?}").ok().map(|()| printable(&name));
        }
    }
}

impl<'writer> FormatFields<'writer> for OtelName {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut name = NameVisitor::default();
        fields.record(&mut name);
        name.0.map_or(Ok(()), |name| writer.write_str(&name))
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut name = NameVisitor::default();
        fields.record(&mut name);
        if let Some(name) = name.0 {
            current.fields = name;
        }
        Ok(())
    }
}

/// The format of a line.
pub(crate) struct PrettyLine;

impl<S> FormatEvent<S, OtelName> for PrettyLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, OtelName>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let style = Style {
            colors: writer.has_ansi_escapes(),
        };
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        // Records of the crate `log` have their metadata in fields.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        write!(
            writer,
            "{} {} ",
            style.paint(Color::Dim, &time),
            level(*metadata.level(), style)
        )?;
        let spans = context.event_scope().map(|scope| scope.from_root());
        for span in spans.into_iter().flatten() {
            let extensions = span.extensions();
            // The log filter disables spans that have none.
            let Some(name) = extensions.get::<FormattedFields<OtelName>>() else {
                continue;
            };
            let name = &name.fields;
            let name = if name.is_empty() { span.name() } else { name };
            write!(writer, "{}: ", style.paint(Color::Bold, name))?;
        }
        write!(writer, "{}: ", style.paint(Color::Dim, metadata.target()))?;
        let mut fields = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut fields), event)?;
        writer.write_str(&printable(&fields))?;
        if let Some(trace) = current_context::with_span(SpanContext::trace_id) {
            let trace = format!("trace_id={trace}");
            write!(writer, " {}", style.paint(Color::Dim, &trace))?;
        }
        writeln!(writer)
    }
}

/// Returns a level, padded to five columns.
fn level(level: Level, style: Style) -> String {
    let color = match level {
        Level::ERROR => Color::Red,
        Level::WARN => Color::Yellow,
        Level::INFO => Color::Green,
        Level::DEBUG => Color::Blue,
        _ => Color::Cyan,
    };
    style.paint(color, &format!("{:>5}", level.as_str()))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    use crate::live_log_filter::LiveLogFilter;
    use crate::log_lines;
    use crate::options::{LogFormat, LogTraces};
    use crate::test_output::TestOutput;

    /// Returns the lines that `f` logs, without the times.
    fn lines(f: impl FnOnce()) -> Vec<String> {
        let output = TestOutput::default();
        let writer = output.clone();
        let layer = log_lines::layer(
            LogFormat::Pretty,
            LiveLogFilter::new("info", LogTraces::All).layer_filter(),
            move || writer.clone(),
        );
        let subscriber = tracing_subscriber::registry().with(layer.boxed());
        tracing::subscriber::with_default(subscriber, f);
        let text = output.text();
        let without_time = |line: &str| line.split_once(' ').map(|(_, rest)| rest.to_owned());
        text.lines().filter_map(without_time).collect()
    }

    #[test]
    fn a_line_has_the_names_of_its_spans_and_its_own_fields_only() {
        let lines = lines(|| {
            let request = tracing::info_span!(
                "HTTP server",
                otel.name = "GET /offers/{sku}",
                http.request.method = "GET",
                url.path = "/offers/lamp",
            );
            let _request = request.entered();
            let _price = tracing::info_span!("price", sku = "lamp").entered();
            tracing::warn!(target: "shop", stock = 0, "sold out");
        });
        assert_eq!(
            lines,
            [" WARN GET /offers/{sku}: price: shop: sold out stock=0"]
        );
    }

    #[test]
    fn control_characters_of_messages_and_fields_are_replaced() {
        let lines = lines(|| {
            tracing::info!(target: "shop", path = %"/\x1b[2J", "sold\n2026 INFO forged");
            tracing::error!(target: "shop", error = %"a\r\nb", "failed");
        });
        assert_eq!(
            lines,
            [
                " INFO shop: sold·2026 INFO forged path=/·[2J",
                "ERROR shop: failed error=a··b"
            ]
        );
    }

    #[test]
    fn a_late_name_replaces_the_first_one_and_control_characters_are_replaced() {
        let lines = lines(|| {
            let span = tracing::info_span!("HTTP server", otel.name = "GET");
            span.record("otel.name", "GET /a\x1b[2J");
            let _span = span.entered();
            tracing::info!(target: "shop", "late");
        });
        assert_eq!(lines, [" INFO GET /a·[2J: shop: late"]);
    }

    #[test]
    fn a_name_whose_debug_fails_is_omitted() {
        struct Broken;
        impl std::fmt::Debug for Broken {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                Err(std::fmt::Error)
            }
        }
        let lines = lines(|| {
            let _span = tracing::info_span!("work", otel.name = ?Broken).entered();
            tracing::info!(target: "shop", "sold");
        });
        assert_eq!(lines, [" INFO work: shop: sold"]);
    }
}
