//! The OTLP exporter on the export thread.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::{
    exporter::{ExportInput, Meanwhile, Outcome, RecordExporter},
    otlp::{
        batch::Batch,
        client::Client,
        delivery::{Delivery, Refusals},
        runtime::ExportRuntime,
        secrets::Secrets,
    },
    record::SpanRecord,
};

/// Encodes records and sends them.
pub(crate) struct OtlpRecordExporter {
    pub(crate) client: Client,
    pub(crate) batch: Batch,
    pub(crate) gzip: bool,
    pub(crate) timeout: Duration,
    /// Scheme, host and port of the collector.
    pub(crate) origin: String,
    pub(crate) secrets: Secrets,
    // Dropped after the client, because the tasks of the client run on it.
    pub(crate) runtime: ExportRuntime,
}

impl RecordExporter for OtlpRecordExporter {
    fn add(&mut self, record: &mut SpanRecord, input: &ExportInput<'_>) {
        self.batch
            .add(record, input.clocks, input.default_scope, input.limits);
    }

    fn encodes(&self) -> bool {
        true
    }

    fn last_message(&self) -> &[u8] {
        self.batch.last_message()
    }

    fn export(&mut self, meanwhile: Meanwhile<'_>) -> Outcome {
        let now = Instant::now();
        let deadline = now.checked_add(self.timeout).unwrap_or(now + MAX_TIMEOUT);
        let deadline = self.runtime.deadline(deadline, meanwhile.requested);
        let spans = self.batch.len();
        let delivery = Delivery {
            client: &mut self.client,
            batch: &mut self.batch,
            gzip: self.gzip,
            outcome: Outcome::default(),
            refusals: Refusals::default(),
        };
        let export = delivery.run(deadline);
        let outcome = self.runtime.block_on_beside(export, meanwhile.work);
        let mut outcome = outcome.unwrap_or_else(|| {
            let mut outcome = Outcome::default();
            outcome.fail(spans, "the runtime has stopped".to_owned());
            outcome
        });
        if let Some(failure) = &mut outcome.failure {
            *failure = format!("{}: {}", self.origin, self.secrets.log_text(failure));
        }
        if let Some(rejection) = &mut outcome.rejection {
            *rejection = self.secrets.log_text(rejection);
        }
        outcome
    }

    fn shutdown(&mut self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn waker(&self) -> Option<Waker> {
        Some(self.runtime.waker())
    }

    fn park(&self, duration: Duration) {
        self.runtime.park(duration);
    }
}

/// Replaces a timeout that cannot be represented.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
