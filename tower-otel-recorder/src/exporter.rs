//! The exporter on the export thread: an exporter of the SDK, or one of this crate.

use std::{io, mem, task::Waker, thread, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use crate::{
    clock::Clocks, counts::ExportCounts, limits::Limits, message::without_credentials,
    progress::Requested, record::SpanRecord,
};

/// An exporter for a [`Recorder`](crate::Recorder): any [`SpanExporter`], or `OtlpExporter` (features `grpc` and `http`).
///
/// A [`SpanExporter`] receives `SpanData`, which the export thread allocates for each span. `OtlpExporter` encodes its requests
/// from the records, which costs less CPU time.
pub trait Exporter: sealed::Sealed {}

impl<E: SpanExporter + 'static> Exporter for E {}

pub(crate) mod sealed {
    use super::{BoxedExporter, Resource, SdkExporter, SpanExporter, io};

    pub trait Sealed: Send + 'static {
        /// Prepares the exporter for the export thread.
        fn prepare(self, resource: &Resource) -> io::Result<BoxedExporter>;
    }

    impl<E: SpanExporter + 'static> Sealed for E {
        fn prepare(mut self, resource: &Resource) -> io::Result<BoxedExporter> {
            self.set_resource(resource);
            let exporter = SdkExporter {
                exporter: self,
                batch: Vec::new(),
            };
            Ok(BoxedExporter(Box::new(exporter)))
        }
    }
}

/// An exporter that is ready for the export thread.
#[allow(missing_debug_implementations)]
pub struct BoxedExporter(pub(crate) Box<dyn RecordExporter>);

/// Exports records in batches, on the export thread.
pub(crate) trait RecordExporter: Send {
    /// Adds a span to the batch. The record must be cleared before it is reused.
    fn add(&mut self, record: &mut SpanRecord, input: &ExportInput<'_>);

    /// Returns whether [`add`](Self::add) encodes spans as OTLP messages.
    fn encodes(&self) -> bool {
        false
    }

    /// Returns the message of the span that was added last, if the exporter [encodes](Self::encodes).
    fn last_message(&self) -> &[u8] {
        &[]
    }

    /// Exports the batch, which is empty afterwards.
    fn export(&mut self, meanwhile: Meanwhile<'_>) -> Outcome;

    /// Shuts the exporter down.
    fn shutdown(&mut self, timeout: Duration) -> OTelSdkResult;

    /// Returns the waker that interrupts [`park`](Self::park). Returns `None` if unparking the thread interrupts it.
    fn waker(&self) -> Option<Waker> {
        None
    }

    /// Waits for this duration, or until it is woken.
    fn park(&self, duration: Duration) {
        thread::park_timeout(duration);
    }
}

/// What happens while a batch is exported.
#[cfg_attr(
    not(any(feature = "grpc", feature = "http")),
    allow(dead_code, reason = "only the OTLP exporter reads it")
)]
pub(crate) struct Meanwhile<'a> {
    /// Returns the flush and the shutdown that were requested.
    pub(crate) requested: &'a dyn Fn() -> Requested,
    pub(crate) work: Option<RepeatedWork<'a>>,
}

/// Work of the export thread that also runs during an export. An exporter that does not block the thread runs it each time the
/// interval is over.
#[cfg_attr(
    not(any(feature = "grpc", feature = "http")),
    allow(dead_code, reason = "only the OTLP exporter reads it")
)]
pub(crate) struct RepeatedWork<'a> {
    pub(crate) interval: Duration,
    pub(crate) work: &'a mut dyn FnMut(),
}

/// The values that an export needs in addition to a record.
#[derive(Debug)]
pub(crate) struct ExportInput<'a> {
    pub(crate) clocks: Clocks,
    pub(crate) default_scope: &'a InstrumentationScope,
    pub(crate) limits: &'a Limits,
}

/// The result of a batch. Its texts contain no credentials.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) spans: ExportCounts,
    /// The reason why spans failed.
    pub(crate) failure: Option<String>,
    /// The reason why spans were rejected.
    pub(crate) rejection: Option<String>,
}

impl Outcome {
    /// Returns the reason why spans failed or were rejected.
    pub(crate) fn problem(&self) -> Option<String> {
        match self.spans {
            spans if spans.failed > 0 => Some(self.failure.clone().unwrap_or_default()),
            spans if spans.rejected > 0 => {
                let reason = self.rejection.as_deref().unwrap_or("no reason given");
                Some(format!("spans were rejected: {reason}"))
            }
            _ => None,
        }
    }

    /// Counts spans that failed.
    pub(crate) fn fail(&mut self, spans: usize, failure: String) {
        self.spans.failed += spans;
        self.failure = Some(failure);
    }
}

/// Exports `SpanData` to an exporter of the SDK.
struct SdkExporter<E> {
    exporter: E,
    batch: Vec<SpanData>,
}

impl<E: SpanExporter> RecordExporter for SdkExporter<E> {
    fn add(&mut self, record: &mut SpanRecord, input: &ExportInput<'_>) {
        let span = record.take_span_data(input.clocks, input.default_scope, input.limits);
        self.batch.push(span);
    }

    fn export(&mut self, _: Meanwhile<'_>) -> Outcome {
        let batch = mem::take(&mut self.batch);
        let spans = batch.len();
        let mut outcome = Outcome::default();
        match futures_executor::block_on(self.exporter.export(batch)) {
            Ok(()) => outcome.spans.exported = spans,
            Err(error) => outcome.fail(spans, without_credentials(&error.to_string())),
        }
        outcome
    }

    fn shutdown(&mut self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
}
