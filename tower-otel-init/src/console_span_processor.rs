//! `OTEL_TRACES_EXPORTER=console`: prints each trace when the last of its spans in this process ends.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::terminal::{Style, colors_allowed};
use crate::trace_tree;

/// The maximum number of traces in memory. A span that never ends keeps its trace there.
const MAX_TRACES: usize = 256;
/// The maximum number of spans per trace. Further spans are not printed.
const MAX_SPANS: usize = 1000;

pub(crate) struct ConsoleSpanProcessor {
    traces: Mutex<HashMap<TraceId, OpenTrace>>,
    out: Mutex<Box<dyn Write + Send>>,
    style: Style,
}

/// A trace with spans that have not ended.
#[derive(Default)]
struct OpenTrace {
    open_spans: usize,
    ended: Vec<SpanData>,
}

impl ConsoleSpanProcessor {
    /// Returns a processor for the standard output, with colors if that is a terminal.
    pub(crate) fn stdout() -> Self {
        let colors = io::stdout().is_terminal() && colors_allowed();
        Self::new(Box::new(io::stdout()), colors)
    }

    fn new(out: Box<dyn Write + Send>, colors: bool) -> Self {
        Self {
            traces: Mutex::default(),
            out: Mutex::new(out),
            style: Style { colors },
        }
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<TraceId, OpenTrace>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints the ended spans. A closed output is ignored.
    fn print(&self, trace: &OpenTrace) {
        let text = trace_tree::render(&trace.ended, self.style);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Prints the ended spans of the traces that have open spans.
    fn print_open(&self) {
        let traces = std::mem::take(&mut *self.traces());
        for trace in traces.values().filter(|trace| !trace.ended.is_empty()) {
            self.print(trace);
        }
    }
}

impl fmt::Debug for ConsoleSpanProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleSpanProcessor")
            .finish_non_exhaustive()
    }
}

impl SpanProcessor for ConsoleSpanProcessor {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        let id = span.span_context().trace_id();
        let mut traces = self.traces();
        if traces.len() >= MAX_TRACES && !traces.contains_key(&id) {
            return;
        }
        traces.entry(id).or_default().open_spans += 1;
    }

    fn on_end(&self, span: SpanData) {
        let mut traces = self.traces();
        let id = span.span_context.trace_id();
        let Some(trace) = traces.get_mut(&id) else {
            return;
        };
        trace.open_spans = trace.open_spans.saturating_sub(1);
        if trace.ended.len() < MAX_SPANS {
            trace.ended.push(span);
        }
        if trace.open_spans == 0
            && let Some(trace) = traces.remove(&id)
        {
            drop(traces);
            self.print(&trace);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.print_open();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;
    use crate::test_output::TestOutput;

    #[test]
    fn a_trace_is_printed_once_when_its_last_span_ends() {
        let output = TestOutput::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(ConsoleSpanProcessor::new(Box::new(output.clone()), false))
            .build();
        let tracer = provider.tracer("");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let child = Context::new().with_span(tracer.start_with_context("child", &root));
        root.span().end();
        assert_eq!(output.text(), "");
        child.span().end();
        let text = output.text();
        assert!(text.contains("2 spans"), "{text}");
        assert!(text.contains("\n└─ child"), "{text}");
        provider.shutdown().unwrap();
        assert_eq!(output.text(), text);
    }

    #[test]
    fn shutdown_prints_the_ended_spans_of_open_traces() {
        let output = TestOutput::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(ConsoleSpanProcessor::new(Box::new(output.clone()), false))
            .build();
        let tracer = provider.tracer("");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        tracer.start_with_context("child", &root).end();
        provider.shutdown().unwrap();
        assert!(output.text().contains("1 span,"), "{}", output.text());
    }
}
