//! The export thread.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::{error::OTelSdkResult, trace::SpanExporter};

use crate::{
    clock::Clocks,
    message::without_credentials,
    scope::default_scope,
    shared::{RecordBox, Shared},
};

const MIN_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Starts the export thread.
pub(crate) fn spawn<E: SpanExporter + 'static>(
    shared: &Arc<Shared>,
    exporter: E,
    delay: Duration,
) -> io::Result<()> {
    let worker = Worker {
        shared: Arc::clone(shared),
        exporter,
        default_scope: default_scope(),
        backlog: Vec::new(),
        exported: Vec::new(),
        failure: None,
        has_warned: false,
        is_failing: false,
    };
    thread::Builder::new()
        .name("tower-otel-recorder".to_owned())
        .spawn(move || worker.run(delay))
        .map(drop)
}

struct Worker<E> {
    shared: Arc<Shared>,
    exporter: E,
    default_scope: InstrumentationScope,
    backlog: Vec<RecordBox>,
    /// Records on their way back to the pool.
    exported: Vec<RecordBox>,
    /// The last failure of this turn.
    failure: Option<String>,
    /// Whether the warning about a full queue was logged.
    has_warned: bool,
    /// Whether the last export failed.
    is_failing: bool,
}

/// Ends all waiting when the thread ends, also by a panic.
struct ThreadEnd<'a>(&'a Shared);

impl Drop for ThreadEnd<'_> {
    fn drop(&mut self) {
        self.0.pipeline.end_thread();
    }
}

impl<E: SpanExporter> Worker<E> {
    fn run(mut self, delay: Duration) {
        let shared = Arc::clone(&self.shared);
        let pipeline = &shared.pipeline;
        let _end = ThreadEnd(&shared);
        // The exporter must not create spans about its own requests.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        pipeline.set_thread(thread::current());
        let delay = delay.clamp(MIN_DELAY, MAX_DELAY);
        let mut done = 0;
        loop {
            let turn = pipeline.next_turn(Instant::now() + delay, done);
            self.export_all();
            self.warn_about_drops();
            if let Some(timeout) = turn.shutdown {
                let result = catch_unwind(AssertUnwindSafe(|| {
                    self.exporter.shutdown_with_timeout(timeout)
                }));
                self.check(result);
            }
            done = turn.flushes;
            pipeline.end_turn(done, self.failure.take());
            if turn.shutdown.is_some() {
                break;
            }
        }
    }

    /// Exports what is queued now. Spans that end in the meantime are exported in the next turn.
    fn export_all(&mut self) {
        let shared = Arc::clone(&self.shared);
        let pipeline = &shared.pipeline;
        pipeline.drain(&mut self.backlog);
        let clocks = Clocks::read();
        // `export` takes spans off the end.
        self.backlog.reverse();
        while !self.backlog.is_empty() {
            let sizes = self.backlog.iter().rev().map(|record| record.bytes);
            let batch = pipeline.batch().first(sizes);
            if !pipeline.begin_export(batch) {
                self.backlog.clear();
                break;
            }
            let spans = batch.spans;
            let succeeded = self.export(spans, clocks);
            pipeline.end_export(spans, succeeded);
        }
        if self.backlog.capacity() > 4096 {
            self.backlog = Vec::new();
        }
    }

    /// Exports so many spans from the end of the reversed backlog. Returns whether the exporter has accepted them.
    fn export(&mut self, spans: usize, clocks: Clocks) -> bool {
        let mut batch = Vec::with_capacity(spans);
        for _ in 0..spans {
            let Some(mut pooled) = self.backlog.pop() else {
                break;
            };
            let record = &mut pooled.record;
            batch.push(record.take_span_data(clocks, &self.default_scope, &self.shared.limits));
            record.clear();
            self.exported.push(pooled);
        }
        self.shared.pipeline.give_back(&mut self.exported);
        let result = catch_unwind(AssertUnwindSafe(|| {
            futures_executor::block_on(self.exporter.export(batch))
        }));
        let succeeded = self.check(result);
        self.log_change(succeeded);
        succeeded
    }

    /// Logs the first spans that were dropped because the queue was full. Those that end after the shutdown are not logged.
    fn warn_about_drops(&mut self) {
        let dropped = self.shared.pipeline.counters().full();
        if !self.has_warned && dropped > 0 {
            self.has_warned = true;
            tracing::warn!(
                dropped,
                "the recorder's queue was full: spans were dropped; further drops are counted in Recorder::counts and \
                 not logged"
            );
        }
    }

    /// Logs when exports start to fail, and when they succeed again.
    fn log_change(&mut self, succeeded: bool) {
        if self.is_failing != succeeded {
            return;
        }
        self.is_failing = !succeeded;
        if succeeded {
            tracing::warn!(
                "the recorder exports spans again; the batches that failed in the meantime are lost"
            );
        } else {
            let failure = self.failure.as_deref().unwrap_or_default();
            tracing::warn!(
                "the recorder cannot export spans: {failure}; batches are dropped and counted in Recorder::counts until an \
                 export succeeds, which is logged"
            );
        }
    }

    /// Returns whether the exporter succeeded. Stores its failure, without credentials, for the log and the next flush.
    fn check(&mut self, result: thread::Result<OTelSdkResult>) -> bool {
        let failure = match result {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => without_credentials(&error.to_string()),
            Err(_) => "the exporter panicked".to_owned(),
        };
        self.failure = Some(failure);
        false
    }
}
