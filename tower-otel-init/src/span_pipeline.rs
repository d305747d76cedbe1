//! Spans on their way to the collector: none is lost without being counted.

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

use crate::batch_config::Batch;
use crate::drop_counter::Tally;
use crate::endpoint_health::Link;
use crate::export_runtime::Exports;
use crate::partial_success::Rejections;

/// The SDK's batch processor behind a door that counts.
#[derive(Debug)]
pub(crate) struct Counted {
    batches: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl Counted {
    pub(crate) fn new<E: SpanExporter + 'static>(
        exporter: E,
        to: &str,
        batch: &Batch,
        exports: &Exports,
        tally: &Arc<Tally>,
    ) -> Self {
        let exporter = Watched {
            inner: Arc::new(exporter),
            handle: exports.handle().clone(),
            timeout: batch.export_timeout,
            tally: Arc::clone(tally),
            link: Link::new("spans", to),
            rejections: Rejections::new(),
            full: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(batch.queue_size)
            .with_max_export_batch_size(batch.batch_size)
            .with_scheduled_delay(batch.schedule_delay)
            .build();
        Self {
            batches: BatchSpanProcessor::new(exporter, config),
            tally: Arc::clone(tally),
        }
    }
}

impl SpanProcessor for Counted {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.tally.accept() {
            self.batches.on_end(span);
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

/// An exporter that runs on our thread and whose failures are counted. What there is to say is said
/// here, on the thread of the SDK, and never where a request ends.
#[derive(Debug)]
struct Watched<E> {
    inner: Arc<E>,
    handle: Handle,
    timeout: Duration,
    tally: Arc<Tally>,
    link: Link,
    rejections: Rejections,
    full: AtomicBool,
    refused: AtomicU64,
}

impl<E: SpanExporter + 'static> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.tally.taken(count);
        let inner = Arc::clone(&self.inner);
        let export = async move { inner.export(batch).await };
        let export = self.rejections.hear(export);
        let result = Exports::run(&self.handle, self.timeout, export).await;
        let rejected = self.rejections.take();
        self.tally.exported(count, &result, rejected.count);
        self.link.note(&result, &rejected);
        self.note_queue();
        self.tally.publish();
        // It is counted and said. The SDK would say it again for each batch.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Nothing has been exported yet, so nobody else holds it.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

impl<E> Watched<E> {
    /// Full is a queue that refused something since the last export.
    fn note_queue(&self) {
        let refused = self.tally.refused();
        let before = self.refused.swap(refused, Relaxed);
        let full = refused > before;
        if full == self.full.swap(full, Relaxed) {
            return;
        }
        if full {
            tracing::warn!(
                "the queue of spans is full, and what does not fit is lost; \
                 see OTEL_BSP_MAX_QUEUE_SIZE"
            );
        } else {
            tracing::warn!("the queue of spans has room again; {refused} did not fit so far");
        }
    }
}

/// Spans that were recorded and did not arrive, by `reason`.
pub(crate) const DROPPED: &str = "otel_spans_dropped_total";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_is_said_once_and_so_is_its_end() {
        let exports = Exports::start().unwrap();
        let tally = Arc::new(Tally::new(DROPPED, 1));
        let watched = Watched {
            inner: Arc::new(()),
            handle: exports.handle().clone(),
            timeout: Duration::ZERO,
            tally: Arc::clone(&tally),
            link: Link::new("spans", ""),
            rejections: Rejections::new(),
            full: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        };
        let page = Page::default();
        let out = page.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || out.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            tally.accept();
            watched.note_queue();
            for _ in 0..3 {
                assert!(!tally.accept());
                watched.note_queue();
            }
            watched.note_queue();
            watched.note_queue();
        });
        let said = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(said.contains("is full"), "{said}");
        assert!(said.contains("room again; 3 did not fit"), "{said}");
    }
}
