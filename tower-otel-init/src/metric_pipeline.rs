//! A meter provider that pushes metrics to a collector.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};

use crate::drop_counter::DropCounter;
use crate::endpoint_health::EndpointHealth;
use crate::partial_success::PartialSuccess;

/// Returns a provider that also has a counter for each given drop counter, with its description.
pub(crate) fn meter_provider<E: PushMetricExporter>(
    exporter: E,
    endpoint: &str,
    interval: Duration,
    resource: Resource,
    drop_counters: [(&'static str, &Option<Arc<DropCounter>>); 2],
) -> SdkMeterProvider {
    let exporter = MonitoredMetricExporter {
        inner: exporter,
        health: EndpointHealth::new("metrics", endpoint),
        partial_success: PartialSuccess::new(),
    };
    let reader = PeriodicReader::builder(exporter)
        .with_interval(interval)
        .build();
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader)
        .build();
    for (description, drops) in drop_counters {
        let Some(drops) = drops.clone() else {
            continue;
        };
        // Exporters for Prometheus append `_total`.
        provider
            .meter(env!("CARGO_PKG_NAME"))
            .u64_observable_counter(drops.metric.trim_end_matches("_total"))
            .with_description(description)
            .with_callback(move |counter| {
                for (reason, count) in drops.counts().by_reason() {
                    counter.observe(count, &[KeyValue::new("reason", reason)]);
                }
            })
            .build();
    }
    provider
}

/// An exporter that logs changes of state.
struct MonitoredMetricExporter<E> {
    inner: E,
    health: EndpointHealth,
    partial_success: PartialSuccess,
}

impl<E: PushMetricExporter> PushMetricExporter for MonitoredMetricExporter<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let export = self.partial_success.observe(self.inner.export(metrics));
        let result = export.await;
        self.health.record(&result, &self.partial_success.take());
        // The failure is logged already, and the next export has the cumulative values.
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
