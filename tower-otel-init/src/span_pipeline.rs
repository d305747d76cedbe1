//! The path of a span from its end to the collector. Every span that is not delivered is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;

use crate::batch_config::BatchConfig;
use crate::drop_counter::DropCounter;
use crate::export_monitor::ExportMonitor;
use crate::export_runtime::ExportRuntime;

/// The counter of dropped spans.
pub(crate) const DROPPED_SPANS: &str = "otel_spans_dropped_total";

/// The SDK's batch processor, with a queue limit that counts dropped spans.
#[derive(Debug)]
pub(crate) struct CountingSpanProcessor {
    batches: BatchSpanProcessor,
    drops: Arc<DropCounter>,
}

impl CountingSpanProcessor {
    pub(crate) fn new<E: SpanExporter + 'static>(
        exporter: E,
        endpoint: &str,
        batch: &BatchConfig,
        runtime: &ExportRuntime,
        drops: &Arc<DropCounter>,
    ) -> Self {
        let exporter = MonitoredSpanExporter {
            inner: Arc::new(exporter),
            handle: runtime.handle().clone(),
            timeout: batch.export_timeout,
            monitor: ExportMonitor::new("spans", endpoint, drops),
            queue_full: AtomicBool::new(false),
            queue_full_count: AtomicU64::new(0),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(batch.queue_size)
            .with_max_export_batch_size(batch.batch_size)
            .with_scheduled_delay(batch.schedule_delay)
            .build();
        Self {
            batches: BatchSpanProcessor::new(exporter, config),
            drops: Arc::clone(drops),
        }
    }
}

impl SpanProcessor for CountingSpanProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.drops.accept() {
            self.batches.on_end(span);
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

/// An exporter that runs on the export runtime, counts failures and logs changes of state. It logs
/// on the SDK's thread, never on the thread of a request.
#[derive(Debug)]
struct MonitoredSpanExporter<E> {
    inner: Arc<E>,
    handle: Handle,
    timeout: Duration,
    monitor: ExportMonitor,
    /// Whether the last warning was that the queue is full.
    queue_full: AtomicBool,
    /// The number of spans dropped because of a full queue, as of the last export.
    queue_full_count: AtomicU64,
}

impl<E: SpanExporter + 'static> SpanExporter for MonitoredSpanExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let inner = Arc::clone(&self.inner);
        let export = async move { inner.export(batch).await };
        let export = self.monitor.start(count, export);
        let result = ExportRuntime::run(&self.handle, self.timeout, export).await;
        self.monitor.finish(count, &result);
        self.log_queue_state();
        // The SDK logs each error it is returned. This one is counted and logged already.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The SDK calls this before the first export, so the `Arc` has one owner.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

impl<E> MonitoredSpanExporter<E> {
    /// Logs a warning when the queue starts to drop spans, and when an export finds that it has
    /// stopped.
    fn log_queue_state(&self) {
        let dropped = self.monitor.queue_full();
        let before = self.queue_full_count.swap(dropped, Relaxed);
        let full = dropped > before;
        if full == self.queue_full.swap(full, Relaxed) {
            return;
        }
        if full {
            tracing::warn!(
                "span queue is full; dropping new spans until it has room \
                 (its size is OTEL_BSP_MAX_QUEUE_SIZE)"
            );
        } else {
            tracing::warn!("span queue has room again; {dropped} spans were dropped so far");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::test_output::TestOutput;

    #[test]
    fn a_full_queue_is_logged_once_and_so_is_its_end() {
        let runtime = ExportRuntime::start().unwrap();
        let drops = Arc::new(DropCounter::new(DROPPED_SPANS, 1));
        let exporter = MonitoredSpanExporter {
            inner: Arc::new(()),
            handle: runtime.handle().clone(),
            timeout: Duration::ZERO,
            monitor: ExportMonitor::new("spans", "", &drops),
            queue_full: AtomicBool::new(false),
            queue_full_count: AtomicU64::new(0),
        };
        let output = TestOutput::default();
        let writer = output.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            drops.accept();
            exporter.log_queue_state();
            for _ in 0..3 {
                assert!(!drops.accept());
                exporter.log_queue_state();
            }
            exporter.log_queue_state();
            exporter.log_queue_state();
        });
        let text = output.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(text.contains("is full"), "{text}");
        assert!(text.contains("room again; 3 spans were dropped"), "{text}");
    }
}
