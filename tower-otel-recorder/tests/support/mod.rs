//! An exporter that can be blocked, and spans.

#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    borrow::Cow,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use opentelemetry::{Context, InstrumentationScope, trace::SpanKind};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tower_otel_recorder::{Recorder, RecorderBuilder, SpanStart, StartedSpan};

/// Longer than anything in the tests takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An exporter that stores spans, and blocks until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    spans: Arc<Mutex<Vec<SpanData>>>,
    is_open: Arc<(Mutex<bool>, Condvar)>,
    exports: Arc<AtomicUsize>,
}

impl Memory {
    pub(crate) fn new(open: bool) -> Self {
        Self {
            spans: Arc::default(),
            is_open: Arc::new((Mutex::new(open), Condvar::new())),
            exports: Arc::default(),
        }
    }

    pub(crate) fn open(&self) {
        *self.is_open.0.lock().unwrap() = true;
        self.is_open.1.notify_all();
    }

    /// Waits until an export has started.
    pub(crate) fn wait_for_export(&self) {
        wait_until("an export", || self.exports.load(SeqCst) > 0);
    }

    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap().clone()
    }
}

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exports.fetch_add(1, SeqCst);
        let open = self.is_open.0.lock().unwrap();
        drop(self.is_open.1.wait_while(open, |open| !*open).unwrap());
        self.spans.lock().unwrap().extend(batch);
        Ok(())
    }
}

pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Builds a recorder that exports when a batch is full or a flush is requested.
pub(crate) fn build<E: SpanExporter + 'static>(builder: RecorderBuilder<E>) -> Recorder {
    builder.delay(Duration::from_secs(3600)).build().unwrap()
}

pub(crate) fn start(recorder: &Recorder, scope: &'static str) -> StartedSpan {
    let tracer = recorder.tracer_with_scope(InstrumentationScope::builder(scope).build());
    let start = SpanStart {
        kind: SpanKind::Internal,
        base: &Context::new(),
        remote: None,
        link: None,
        at: Instant::now(),
    };
    tracer.start(
        start,
        || (Cow::Borrowed("span"), Vec::new()),
        |record| record.set_static_name("span"),
    )
}

/// Records so many spans.
pub(crate) fn record(recorder: &Recorder, spans: usize) {
    for _ in 0..spans {
        drop(start(recorder, "test"));
    }
}
