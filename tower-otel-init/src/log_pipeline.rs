//! Exports log records to a collector. Every record that is not delivered is counted.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
    SdkLogger, SdkLoggerProvider,
};
use tokio::runtime::Handle;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::batch_config::BatchConfig;
use crate::current_context;
use crate::drop_counter::DropCounter;
use crate::endpoint_health::EndpointHealth;
use crate::export_monitor::ExportMonitor;
use crate::export_runtime::ExportRuntime;
use crate::log_limits::{RecordCutter, ScopedRecord, record_bytes, split};

pub(crate) fn logger_provider<E: LogExporter + 'static>(
    exporter: E,
    health: &Arc<EndpointHealth>,
    batch: &BatchConfig,
    runtime: &ExportRuntime,
    drops: &Arc<DropCounter>,
    resource: Resource,
) -> SdkLoggerProvider {
    let exporter = MonitoredLogExporter {
        inner: exporter,
        handle: runtime.handle().clone(),
        timeout: batch.export_timeout,
        monitor: ExportMonitor::new(health, drops),
    };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(batch.queue_size)
        .with_max_export_batch_size(batch.batch_size)
        .with_scheduled_delay(batch.schedule_delay)
        .build();
    let batches = BatchLogProcessor::builder(exporter).with_batch_config(config);
    SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(CountingLogProcessor {
            batches: batches.build(),
            cutter: RecordCutter::new(),
            drops: Arc::clone(drops),
        })
        .build()
}

/// A layer that turns events into log records. The SDK adds trace id and span id from the current context, and panics if the
/// context is destroyed, because the thread exits.
pub(crate) struct LogRecords {
    bridge: OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>,
    drops: Arc<DropCounter>,
}

impl LogRecords {
    pub(crate) fn new(provider: &SdkLoggerProvider, drops: &Arc<DropCounter>) -> Self {
        Self {
            bridge: OpenTelemetryTracingBridge::new(provider),
            drops: Arc::clone(drops),
        }
    }
}

impl<S> Layer<S> for LogRecords
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if current_context::is_usable() {
            self.bridge.on_event(event, context);
        } else {
            self.drops.drop_at_exit();
        }
    }
}

/// The SDK's batch processor, with limits in bytes, and a queue limit that counts dropped log records.
#[derive(Debug)]
struct CountingLogProcessor {
    batches: BatchLogProcessor,
    cutter: RecordCutter,
    drops: Arc<DropCounter>,
}

impl LogProcessor for CountingLogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.cutter.cut(record);
        if self.drops.accept(record_bytes(record)) {
            self.batches.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.drops.flush(|| self.batches.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter that counts failures, and logs when exports start to fail and when they work again.
#[derive(Debug)]
struct MonitoredLogExporter<E> {
    inner: E,
    handle: Handle,
    timeout: Duration,
    monitor: ExportMonitor,
}

impl<E: LogExporter> MonitoredLogExporter<E> {
    async fn export_part(&self, part: &[ScopedRecord<'_>]) {
        let count = part.len();
        let batch = LogBatch::new(part);
        let export = self.monitor.start(count, self.inner.export(batch));
        // The batch is borrowed, so the export runs on this thread, and only its timer runs on the runtime.
        let limited = {
            let _entered = self.handle.enter();
            tokio::time::timeout(self.timeout, export)
        };
        let result = limited.await;
        let result = result.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)));
        self.monitor.finish(count, &result);
    }
}

impl<E: LogExporter> LogExporter for MonitoredLogExporter<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records: Vec<ScopedRecord<'_>> = batch.iter().collect();
        for part in split(&records) {
            self.export_part(part).await;
        }
        // The SDK releases the records of all parts when this function returns.
        let bytes = records.iter().map(|(record, _)| record_bytes(record));
        self.monitor.release(bytes.sum());
        // The SDK logs each returned error. All errors are already counted and logged.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
