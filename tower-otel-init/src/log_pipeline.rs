//! Log records for a collector, beside the lines. They are counted as spans are.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
    SdkLoggerProvider,
};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::batch_config::Batch;
use crate::drop_counter::Tally;
use crate::endpoint_health::Link;
use crate::export_runtime::Exports;
use crate::partial_success::Rejections;

/// Log records that were written and did not arrive, by `reason`.
pub(crate) const DROPPED: &str = "otel_log_records_dropped_total";

pub(crate) fn provider<E: LogExporter + 'static>(
    exporter: E,
    to: &str,
    batch: &Batch,
    exports: &Exports,
    tally: &Arc<Tally>,
    resource: Resource,
) -> SdkLoggerProvider {
    let exporter = Watched {
        inner: exporter,
        handle: exports.handle().clone(),
        timeout: batch.export_timeout,
        tally: Arc::clone(tally),
        link: Link::new("log records", to),
        rejections: Rejections::new(),
    };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(batch.queue_size)
        .with_max_export_batch_size(batch.batch_size)
        .with_scheduled_delay(batch.schedule_delay)
        .build();
    let batches = BatchLogProcessor::builder(exporter).with_batch_config(config);
    SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(Counted {
            batches: batches.build(),
            tally: Arc::clone(tally),
        })
        .build()
}

/// With the trace they belong to, which the SDK reads from the context.
pub(crate) fn layer<S>(
    provider: &SdkLoggerProvider,
    filter: &str,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    OpenTelemetryTracingBridge::new(provider)
        .with_filter(EnvFilter::new(filter))
        .boxed()
}

/// The SDK's batch processor behind a door that counts.
#[derive(Debug)]
struct Counted {
    batches: BatchLogProcessor,
    tally: Arc<Tally>,
}

impl LogProcessor for Counted {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.tally.accept() {
            self.batches.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.tally.flush(|| self.batches.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[derive(Debug)]
struct Watched<E> {
    inner: E,
    handle: Handle,
    timeout: Duration,
    tally: Arc<Tally>,
    link: Link,
    rejections: Rejections,
}

impl<E: LogExporter> LogExporter for Watched<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        self.tally.taken(count);
        let export = self.rejections.hear(self.inner.export(batch));
        let limited = {
            let _runtime = self.handle.enter();
            tokio::time::timeout(self.timeout, export)
        };
        let result = limited.await;
        let result = result.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)));
        let rejected = self.rejections.take();
        self.tally.exported(count, &result, rejected.count);
        self.link.note(&result, &rejected);
        self.tally.publish();
        // It is counted and said. The SDK would say it again for each batch.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
