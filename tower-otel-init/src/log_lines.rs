//! Log lines that say to which trace they belong.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::options::LogFormat;

/// The layer that writes them. Its filter is its own: what it leaves out can still be a span.
pub(crate) fn layer<S, W>(
    format: LogFormat,
    filter: &str,
    writer: W,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::new(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => layer
            .json()
            .with_span_list(false)
            .map_event_format(Traced)
            .with_filter(filter)
            .boxed(),
        LogFormat::Pretty => {
            let colours = std::io::stdout().is_terminal() && crate::terminal::wanted();
            layer
                .with_ansi(colours)
                .map_event_format(|format| Traced(format.with_ansi(colours)))
                .with_filter(filter)
                .boxed()
        }
    }
}

/// A line of another format, and the ids of the current trace and span. They are read from
/// OpenTelemetry's context, where both kinds of spans are.
struct Traced<F>(F);

/// Where in a line of a format the ids go.
trait Append {
    /// What the line ends with.
    const END: &'static str;
    fn append(line: &mut String, trace: &str, span: &str) -> fmt::Result;
}

impl<T> Append for Format<Json, T> {
    const END: &'static str = "}";

    fn append(line: &mut String, trace: &str, span: &str) -> fmt::Result {
        write!(line, ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"")
    }
}

impl<T> Append for Format<Full, T> {
    const END: &'static str = "";

    fn append(line: &mut String, trace: &str, span: &str) -> fmt::Result {
        write!(line, " trace_id={trace} span_id={span}")
    }
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N> + Append,
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
        let kept = line.trim_end_matches('\n');
        let kept = kept.strip_suffix(F::END).unwrap_or(kept).len();
        line.truncate(kept);
        F::append(&mut line, &trace, &span)?;
        writeln!(writer, "{line}{}", F::END)
    }
}
