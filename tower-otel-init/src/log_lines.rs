//! Log lines on the standard output, with the ids of the current trace and span.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::json_fields::JsonFields;
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
        LogFormat::Json => layer
            .json()
            .with_span_list(false)
            .fmt_fields(JsonFields)
            .map_event_format(WithTraceIds)
            .with_filter(filter)
            .boxed(),
        LogFormat::Pretty => {
            let colors = std::io::stdout().is_terminal() && colors_allowed();
            layer
                .with_ansi(colors)
                .fmt_fields(OtelName)
                .event_format(PrettyLine)
                .with_filter(filter)
                .boxed()
        }
    }
}

/// A format that adds `trace_id` and `span_id` to the lines of another format. It reads the ids from the
/// current OpenTelemetry context, which every span backend sets.
struct WithTraceIds<F>(F);

/// A format of lines to which the ids can be appended.
trait AppendIds {
    /// The end of a line, after the ids.
    const END: &'static str;
    fn append_ids(line: &mut String, trace: &str, span: &str) -> fmt::Result;
}

impl<T> AppendIds for Format<Json, T> {
    const END: &'static str = "}";

    fn append_ids(line: &mut String, trace: &str, span: &str) -> fmt::Result {
        write!(line, ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"")
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTraceIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N> + AppendIds,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let ids = Context::map_current(|current| {
            let span = current.span();
            let span = span.span_context();
            span.is_valid()
                .then(|| (span.trace_id().to_string(), span.span_id().to_string()))
        });
        let Some((trace, span)) = ids else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let text = line.trim_end_matches('\n');
        let length = text.strip_suffix(F::END).unwrap_or(text).len();
        line.truncate(length);
        F::append_ids(&mut line, &trace, &span)?;
        writeln!(writer, "{line}{}", F::END)
    }
}
