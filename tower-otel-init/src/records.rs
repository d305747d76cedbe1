//! Log records for a collector, beside the lines.

use std::time::Duration;

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLoggerProvider};
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::link::Link;

pub(crate) fn provider<E: LogExporter + 'static>(
    exporter: E,
    to: &str,
    resource: Resource,
) -> SdkLoggerProvider {
    let exporter = Watched {
        inner: exporter,
        link: Link::new("log records", to),
    };
    SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
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

#[derive(Debug)]
struct Watched<E> {
    inner: E,
    link: Link,
}

impl<E: LogExporter> LogExporter for Watched<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.link.note(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
