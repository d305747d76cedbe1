//! A meter provider that pushes metrics to a collector.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};

use crate::endpoint_health::EndpointHealth;
use crate::partial_success::PartialSuccess;

/// Returns a provider that pushes metrics at this interval.
pub(crate) fn meter_provider<E: PushMetricExporter>(
    exporter: E,
    health: &Arc<EndpointHealth>,
    interval: Duration,
    resource: Resource,
) -> SdkMeterProvider {
    let exporter = MonitoredMetricExporter {
        inner: exporter,
        health: Arc::clone(health),
        partial_success: PartialSuccess::new(),
    };
    let reader = PeriodicReader::builder(exporter)
        .with_interval(interval)
        .build();
    SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader)
        .build()
}

/// An exporter that logs when exports start to fail and when they work again.
struct MonitoredMetricExporter<E> {
    inner: E,
    health: Arc<EndpointHealth>,
    partial_success: PartialSuccess,
}

impl<E: PushMetricExporter> PushMetricExporter for MonitoredMetricExporter<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let export = self.partial_success.observe(self.inner.export(metrics));
        let result = export.await;
        self.health.record(&result, &self.partial_success.take());
        // The failure is already logged, and the next export has the cumulative values.
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
