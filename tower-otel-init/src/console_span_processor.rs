//! Traces for a person: each is drawn when the last of its spans here has ended.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::terminal::{Style, wanted};
use crate::trace_tree as tree;

/// Traces and spans that are kept at most: a span that never ends must not keep others for ever.
const TRACES: usize = 256;
const SPANS: usize = 1000;

pub(crate) struct Console {
    traces: Mutex<HashMap<TraceId, Trace>>,
    out: Mutex<Box<dyn Write + Send>>,
    style: Style,
}

#[derive(Default)]
struct Trace {
    open: usize,
    spans: Vec<SpanData>,
}

impl Console {
    /// On the standard output, in colour if that is a terminal.
    pub(crate) fn stdout() -> Self {
        let colours = io::stdout().is_terminal() && wanted();
        Self::new(Box::new(io::stdout()), colours)
    }

    fn new(out: Box<dyn Write + Send>, colours: bool) -> Self {
        Self {
            traces: Mutex::default(),
            out: Mutex::new(out),
            style: Style { colours },
        }
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<TraceId, Trace>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody can be told that the standard output is closed.
    fn print(&self, trace: &Trace) {
        let text = tree::draw(&trace.spans, self.style);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// What has ended of traces that have not.
    fn print_rest(&self) {
        let rest = std::mem::take(&mut *self.traces());
        for trace in rest.values().filter(|trace| !trace.spans.is_empty()) {
            self.print(trace);
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl SpanProcessor for Console {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        let id = span.span_context().trace_id();
        let mut traces = self.traces();
        if traces.len() >= TRACES && !traces.contains_key(&id) {
            return;
        }
        traces.entry(id).or_default().open += 1;
    }

    fn on_end(&self, span: SpanData) {
        let mut traces = self.traces();
        let id = span.span_context.trace_id();
        let Some(trace) = traces.get_mut(&id) else {
            return;
        };
        trace.open = trace.open.saturating_sub(1);
        if trace.spans.len() < SPANS {
            trace.spans.push(span);
        }
        if trace.open == 0
            && let Some(whole) = traces.remove(&id)
        {
            drop(traces);
            self.print(&whole);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.print_rest();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_trace_is_drawn_once_when_its_last_span_has_ended() {
        let page = Page::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Console::new(Box::new(page.clone()), false))
            .build();
        let tracer = provider.tracer("");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let child = Context::new().with_span(tracer.start_with_context("child", &root));
        root.span().end();
        assert_eq!(page.text(), "");
        child.span().end();
        let text = page.text();
        assert!(text.contains("2 spans"), "{text}");
        assert!(text.contains("\n└─ child"), "{text}");
        provider.shutdown().unwrap();
        assert_eq!(page.text(), text);
    }

    #[test]
    fn what_never_ends_does_not_hold_the_rest_at_shutdown() {
        let page = Page::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Console::new(Box::new(page.clone()), false))
            .build();
        let tracer = provider.tracer("");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        tracer.start_with_context("child", &root).end();
        provider.shutdown().unwrap();
        assert!(page.text().contains("1 span,"), "{}", page.text());
    }
}
