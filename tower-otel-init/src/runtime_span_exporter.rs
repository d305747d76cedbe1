//! The export of spans on the export runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;

use crate::endpoint::{origin, redact_urls};
use crate::endpoint_health::EndpointHealth;
use crate::export_runtime::ExportRuntime;
use crate::partial_success::PartialSuccess;

/// An exporter that runs on the export runtime and counts the spans that the collector rejects.
///
/// The recorder counts and logs failures.
#[derive(Debug)]
pub(crate) struct RuntimeSpanExporter<E> {
    inner: Arc<E>,
    endpoint: String,
    timeout: Duration,
    handle: Handle,
    health: EndpointHealth,
    partial_success: PartialSuccess,
    rejected: Arc<AtomicU64>,
}

impl<E> RuntimeSpanExporter<E> {
    pub(crate) fn new(
        exporter: E,
        endpoint: &str,
        timeout: Duration,
        runtime: &ExportRuntime,
        rejected: &Arc<AtomicU64>,
    ) -> Self {
        Self {
            inner: Arc::new(exporter),
            endpoint: origin(endpoint),
            timeout,
            handle: runtime.handle().clone(),
            health: EndpointHealth::new("spans", endpoint),
            partial_success: PartialSuccess::new(),
            rejected: Arc::clone(rejected),
        }
    }
}

impl<E: SpanExporter + 'static> SpanExporter for RuntimeSpanExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let inner = Arc::clone(&self.inner);
        let export = async move { inner.export(batch).await };
        let export = self.partial_success.observe(export);
        let result = ExportRuntime::run(&self.handle, self.timeout, export).await;
        let rejected = self.partial_success.take();
        match result {
            Ok(()) => {
                self.rejected.fetch_add(rejected.count, Relaxed);
                self.health.record(&Ok(()), &rejected);
                Ok(())
            }
            Err(error) => {
                let (endpoint, error) = (&self.endpoint, redact_urls(&error.to_string()));
                let failure = format!("export to {endpoint}: {error}");
                Err(OTelSdkError::InternalFailure(failure))
            }
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The recorder calls this before the first export, so the `Arc` has one owner.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}
