//! `OTEL_TRACES_EXPORTER=none`: spans are not exported.

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter that discards spans.
#[derive(Debug)]
pub(crate) struct DiscardingExporter;

impl SpanExporter for DiscardingExporter {
    async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}
