//! `OTEL_TRACES_EXPORTER=console`: prints each trace when the last of its spans in this process ends.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, ShouldSample, SpanData, SpanExporter,
};

use crate::open_traces::OpenTraces;
use crate::terminal::{Style, colors_allowed};
use crate::trace_tree;

/// An exporter that prints traces. Its [`sampler`](Self::sampler) counts the spans that start.
pub(crate) struct ConsoleTraces {
    open: Arc<Mutex<OpenTraces>>,
    out: Mutex<Box<dyn Write + Send>>,
    style: Style,
}

/// A sampler that counts the spans that start in each trace.
#[derive(Clone, Debug)]
pub(crate) struct CountingSampler {
    inner: Sampler,
    open: Arc<Mutex<OpenTraces>>,
}

impl ConsoleTraces {
    /// Returns an exporter to the standard output, with colors if that is a terminal.
    pub(crate) fn stdout() -> Self {
        let colors = io::stdout().is_terminal() && colors_allowed();
        Self::new(Box::new(io::stdout()), colors)
    }

    fn new(out: Box<dyn Write + Send>, colors: bool) -> Self {
        Self {
            open: Arc::default(),
            out: Mutex::new(out),
            style: Style { colors },
        }
    }

    pub(crate) fn sampler(&self, inner: Sampler) -> CountingSampler {
        CountingSampler {
            inner,
            open: Arc::clone(&self.open),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut OpenTraces) -> T) -> T {
        change(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Prints spans of one trace. A closed output is ignored.
    fn print(&self, spans: &[SpanData]) {
        let text = trace_tree::render(spans, self.style);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

impl fmt::Debug for ConsoleTraces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleTraces").finish_non_exhaustive()
    }
}

impl ShouldSample for CountingSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let result = self
            .inner
            .should_sample(parent, trace, name, kind, attributes, links);
        if result.decision == SamplingDecision::RecordAndSample {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.start(trace);
        }
        result
    }
}

impl SpanExporter for ConsoleTraces {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            let ended = self.change(|open| open.end(span));
            for trace in ended {
                self.print(&trace);
            }
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        for trace in self.change(OpenTraces::take_all) {
            self.print(&trace);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
    use tower_otel_recorder::{Recorder, RecorderTracer};

    use super::*;
    use crate::test_output::TestOutput;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn start(output: &TestOutput) -> (Recorder, RecorderTracer) {
        let traces = ConsoleTraces::new(Box::new(output.clone()), false);
        let sampler = traces.sampler(Sampler::AlwaysOn);
        let builder = Recorder::builder(traces).sampler(sampler);
        let recorder = builder.build().unwrap();
        let tracer = recorder.tracer_provider().tracer("");
        (recorder, tracer)
    }

    #[test]
    fn a_trace_is_printed_once_when_its_last_span_ends() {
        let output = TestOutput::default();
        let (recorder, tracer) = start(&output);
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let child = Context::new().with_span(tracer.start_with_context("child", &root));
        root.span().end();
        recorder.flush(TIMEOUT).unwrap();
        assert_eq!(output.text(), "");
        child.span().end();
        recorder.flush(TIMEOUT).unwrap();
        let text = output.text();
        assert!(text.contains("2 spans"), "{text}");
        assert!(text.contains("\n└─ child"), "{text}");
        recorder.shutdown(TIMEOUT).unwrap();
        assert_eq!(output.text(), text);
    }

    #[test]
    fn shutdown_prints_the_ended_spans_of_open_traces() {
        let output = TestOutput::default();
        let (recorder, tracer) = start(&output);
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        drop(tracer.start_with_context("child", &root));
        recorder.shutdown(TIMEOUT).unwrap();
        assert!(output.text().contains("1 span,"), "{}", output.text());
    }
}
