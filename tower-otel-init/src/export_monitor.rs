//! Counts failed exports of log records, and logs when exports to an endpoint start to fail or work again.

use std::future::Future;
use std::sync::Arc;

use opentelemetry_sdk::error::OTelSdkResult;
use tracing::instrument::WithDispatch;

use crate::drop_counter::DropCounter;
use crate::endpoint_health::EndpointHealth;
use crate::partial_success::PartialSuccess;

/// The monitor of an exporter of log records.
#[derive(Debug)]
pub(crate) struct ExportMonitor {
    drops: Arc<DropCounter>,
    health: Arc<EndpointHealth>,
    partial_success: PartialSuccess,
}

impl ExportMonitor {
    pub(crate) fn new(health: &Arc<EndpointHealth>, drops: &Arc<DropCounter>) -> Self {
        Self {
            drops: Arc::clone(drops),
            health: Arc::clone(health),
            partial_success: PartialSuccess::new(),
        }
    }

    /// Wraps the export of a batch of `count` records, so that partial success is read.
    pub(crate) fn start<F>(&self, count: usize, export: F) -> WithDispatch<F>
    where
        F: Future<Output = OTelSdkResult>,
    {
        self.drops.dequeue(count);
        self.partial_success.observe(export)
    }

    /// Records the result of the export of a batch of this size.
    pub(crate) fn finish(&self, count: usize, result: &OTelSdkResult) {
        let rejected = self.partial_success.take();
        self.drops.record_export(count, result, rejected.count);
        self.health.record(result, &rejected);
    }

    /// Records that the memory of a batch is free again.
    pub(crate) fn release(&self, bytes: usize) {
        self.drops.release(bytes);
    }
}
