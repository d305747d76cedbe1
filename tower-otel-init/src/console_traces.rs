//! `OTEL_TRACES_EXPORTER=console`: prints each trace when the last of its spans in this process ends. A thread prints traces
//! that wait too long for a span to end.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, ShouldSample, SpanData, SpanExporter,
};

use crate::open_traces::{AFTER_ROOT, OpenTraces};
use crate::root_sampler::RootSampler;
use crate::terminal::{Style, colors_allowed};
use crate::trace_tree;

/// An exporter that prints traces. It needs a [sampler](StartedSpans::count) that counts the spans that start.
pub(crate) struct ConsoleTraces {
    open: Arc<Mutex<OpenTraces>>,
    printer: Arc<TracePrinter>,
    /// Stops the thread when it is dropped.
    _stop: mpsc::Sender<()>,
}

/// Prints the spans of one trace at a time.
struct TracePrinter {
    out: Mutex<Box<dyn Write + Send>>,
    style: Style,
}

/// Counts the spans that start in each trace.
#[derive(Clone, Debug)]
pub(crate) struct StartedSpans(Arc<Mutex<OpenTraces>>);

impl StartedSpans {
    /// Returns a sampler that decides like `inner`, and counts the spans that start.
    pub(crate) fn count(&self, inner: RootSampler) -> CountingSampler {
        CountingSampler {
            inner,
            started: self.clone(),
        }
    }
}

/// A sampler that counts the spans that start in each trace.
#[derive(Clone, Debug)]
pub(crate) struct CountingSampler {
    inner: RootSampler,
    started: StartedSpans,
}

impl ConsoleTraces {
    /// Returns an exporter to the standard output, with colors if that is a terminal.
    pub(crate) fn stdout() -> io::Result<Self> {
        let colors = io::stdout().is_terminal() && colors_allowed();
        Self::new(Box::new(io::stdout()), colors)
    }

    fn new(out: Box<dyn Write + Send>, colors: bool) -> io::Result<Self> {
        let printer = Arc::new(TracePrinter {
            out: Mutex::new(out),
            style: Style { colors },
        });
        let open: Arc<Mutex<OpenTraces>> = Arc::default();
        let (stop, stopped) = mpsc::channel::<()>();
        let (overdue, thread_printer) = (Arc::clone(&open), Arc::clone(&printer));
        let name = "tower-otel-print".to_owned();
        thread::Builder::new().name(name).spawn(move || {
            while stopped.recv_timeout(AFTER_ROOT / 2) == Err(RecvTimeoutError::Timeout) {
                let overdue = change(&overdue, |open| open.take_overdue(Instant::now()));
                thread_printer.print_all(&overdue);
            }
        })?;
        Ok(Self {
            open,
            printer,
            _stop: stop,
        })
    }

    pub(crate) fn started(&self) -> StartedSpans {
        StartedSpans(Arc::clone(&self.open))
    }
}

impl TracePrinter {
    /// Prints each trace. Errors of a closed output are ignored.
    fn print_all(&self, traces: &[Vec<SpanData>]) {
        for spans in traces {
            let text = trace_tree::render(spans, self.style);
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        }
    }
}

fn change<T>(open: &Mutex<OpenTraces>, change: impl FnOnce(&mut OpenTraces) -> T) -> T {
    change(&mut open.lock().unwrap_or_else(PoisonError::into_inner))
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
        let is_child = |parent: &Context| {
            let span = parent.span();
            span.span_context().is_valid() && !span.span_context().is_remote()
        };
        if result.decision == SamplingDecision::RecordAndSample {
            change(&self.started.0, |open| open.start(trace));
        } else if !parent.is_some_and(is_child) {
            change(&self.started.0, |open| open.start_unsampled_root(trace));
        }
        result
    }
}

impl SpanExporter for ConsoleTraces {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            let ended = change(&self.open, |open| open.end(span, Instant::now()));
            self.printer.print_all(&ended);
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.printer
            .print_all(&change(&self.open, OpenTraces::take_all));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry::TraceFlags;
    use opentelemetry::trace::{SpanContext, SpanId, Status, TraceState, Tracer, TracerProvider};
    use tower_otel_recorder::{Keep, Recorder, RecorderTracer};

    use super::*;
    use crate::sampler::Sampler;
    use crate::test_output::TestOutput;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn start(output: &TestOutput) -> (Recorder, RecorderTracer) {
        let traces = ConsoleTraces::new(Box::new(output.clone()), false).unwrap();
        let sampler = traces
            .started()
            .count(RootSampler::new(&Sampler::ratio(1.0)));
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
    fn a_trace_is_printed_without_a_shutdown_if_one_of_its_spans_got_another_parent() {
        use tower_otel_recorder::RecorderSpanExt;
        use tracing_subscriber::layer::SubscriberExt;

        let output = TestOutput::default();
        let (recorder, tracer) = start(&output);
        let subscriber = tracing_subscriber::registry().with(recorder.layer());
        let _default = tracing::subscriber::set_default(subscriber);
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let attached = root.clone().attach();
        let job = tracing::info_span!("job");
        job.set_parent(root.clone()).unwrap();
        drop(job);
        drop(attached);
        root.span().end();
        drop(root);
        recorder.flush(TIMEOUT).unwrap();
        let started = Instant::now();
        while output.text().is_empty() {
            assert!(started.elapsed() < TIMEOUT);
            thread::yield_now();
        }
        assert!(output.text().contains("\n└─ job"), "{}", output.text());
    }

    #[test]
    fn a_kept_trace_of_two_requests_of_this_process_is_printed_as_one_with_the_name_of_the_first() {
        let output = TestOutput::default();
        let traces = ConsoleTraces::new(Box::new(output.clone()), false).unwrap();
        let sampler = traces
            .started()
            .count(RootSampler::new(&Sampler::ratio(1.0).parent_based()));
        let builder = Recorder::builder(traces)
            .sampler(sampler)
            .keep(Keep::errors());
        let recorder = builder.build().unwrap();
        let tracer = recorder.tracer_provider().tracer("");
        // As a context that comes over a socket.
        let remote = |span: SpanId| {
            let flags = TraceFlags::NOT_SAMPLED;
            let ids = SpanContext::new(TraceId::from(1), span, flags, true, TraceState::NONE);
            Context::new().with_remote_span_context(ids)
        };
        let start =
            |name, parent: &Context| parent.with_span(tracer.start_with_context(name, parent));
        let outer = start("GET /outer", &remote(SpanId::from(7)));
        let call = start("GET", &outer);
        let inner = start("GET /inner", &remote(call.span().span_context().span_id()));
        for context in [inner, call, outer] {
            assert_eq!(output.text(), "");
            context.span().set_status(Status::error(""));
            context.span().end();
            recorder.flush(TIMEOUT).unwrap();
        }
        let text = output.text();
        assert!(text.starts_with("Trace of GET /outer  3 spans"), "{text}");
        assert!(text.contains("   └─ GET /inner"), "{text}");
        assert_eq!(text.matches("Trace").count(), 1, "{text}");
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
