//! Log lines on the standard output, with the ids of the current trace and span.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::current_context;
use crate::filtered_logs::FilteredLines;
use crate::json_fields::{JsonFields, write_span};
use crate::live_log_filter::LayerFilter;
use crate::options::LogFormat;
use crate::pretty_lines::{OtelName, PrettyLine};
use crate::terminal::colors_allowed;

/// Returns the layer that writes log lines. Its filter does not apply to other layers.
pub(crate) fn layer<S, W>(
    format: LogFormat,
    filter: LayerFilter,
    writer: W,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => {
            let layer = layer
                .json()
                .with_current_span(false)
                .with_span_list(false)
                .fmt_fields(JsonFields)
                .map_event_format(JsonLine);
            FilteredLines::<_, JsonFields>::new(filter, layer).boxed()
        }
        LogFormat::Pretty => {
            let colors = std::io::stdout().is_terminal() && colors_allowed();
            let layer = layer
                .with_ansi(colors)
                .fmt_fields(OtelName)
                .event_format(PrettyLine);
            FilteredLines::<_, OtelName>::new(filter, layer).boxed()
        }
    }
}

/// A JSON format that adds the span, `trace_id` and `span_id` to the lines of another one, which has no spans. It reads
/// the ids from the current OpenTelemetry context, which has the spans of both span backends.
struct JsonLine<T>(Format<Json, T>);

impl<S, T> FormatEvent<S, JsonFields> for JsonLine<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    Format<Json, T>: FormatEvent<S, JsonFields>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let text = line.trim_end_matches('\n');
        let length = text.strip_suffix('}').unwrap_or(text).len();
        line.truncate(length);
        write_current_span(&mut line, context, event);
        write_ids(&mut line)?;
        writeln!(writer, "{line}}}")
    }
}

/// Writes the innermost span of an event that the log filter enables.
fn write_current_span<S>(
    line: &mut String,
    context: &FmtContext<'_, S, JsonFields>,
    event: &Event<'_>,
) where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if event.is_root() {
        return;
    }
    let parent = event.parent().and_then(|id| context.span(id));
    let Some(current) = parent.or_else(|| context.lookup_current()) else {
        return;
    };
    for span in current.scope() {
        if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
            line.push_str(",\"span\":");
            write_span(line, &fields.fields, span.metadata());
            return;
        }
    }
}

fn write_ids(line: &mut String) -> fmt::Result {
    let ids = current_context::with_span(|span| (span.trace_id(), span.span_id()));
    match ids {
        Some((trace, span)) => write!(line, ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\""),
        None => Ok(()),
    }
}
