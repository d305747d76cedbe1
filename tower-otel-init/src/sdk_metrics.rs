//! Metrics about exported and lost spans and log records.
//!
//! <https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/>

use std::fmt;
use std::sync::Arc;

use metrics::Label;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_semantic_conventions::{attribute as key, metric};

use crate::item_counts::ItemCounts;

/// A signal whose losses are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CountedSignal {
    Spans,
    #[cfg_attr(not(feature = "logs"), allow(dead_code))]
    LogRecords,
}

/// The metrics of one signal.
pub(crate) struct SdkMetrics {
    instruments: [Instrument; 2],
    read: Box<dyn Fn() -> ItemCounts + Send + Sync>,
}

/// A counter with a series for each error.
struct Instrument {
    name: &'static str,
    description: String,
    unit: &'static str,
    component: String,
    /// The values of `error.type`, empty for success, with their counts.
    values: fn(ItemCounts) -> [(&'static str, u64); 3],
}

impl SdkMetrics {
    /// `protocol` is the one in the type of the exporter.
    pub(crate) fn new(
        signal: CountedSignal,
        protocol: &str,
        read: impl Fn() -> ItemCounts + Send + Sync + 'static,
    ) -> Self {
        let (item, items, unit, processed, exported) = match signal {
            CountedSignal::Spans => (
                "span",
                "spans",
                "{span}",
                metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
                metric::OTEL_SDK_EXPORTER_SPAN_EXPORTED,
            ),
            CountedSignal::LogRecords => (
                "log",
                "log records",
                "{log_record}",
                metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED,
                metric::OTEL_SDK_EXPORTER_LOG_EXPORTED,
            ),
        };
        let processor = Instrument {
            name: processed,
            description: format!(
                "The number of {items} that were given to the exporter, or dropped before (error.type)."
            ),
            unit,
            component: format!("batching_{item}_processor"),
            values: |counts| {
                let ItemCounts { delivered, dropped } = counts;
                let given = delivered + dropped.export_failed + dropped.rejected;
                [
                    ("", given),
                    ("queue_full", dropped.queue_full),
                    ("already_shutdown", dropped.shutdown),
                ]
            },
        };
        let exporter = Instrument {
            name: exported,
            description: format!(
                "The number of {items} that were delivered, or lost in an export (error.type)."
            ),
            unit,
            component: format!("{protocol}_{item}_exporter"),
            values: |counts| {
                let ItemCounts { delivered, dropped } = counts;
                [
                    ("", delivered),
                    ("export_failed", dropped.export_failed),
                    ("rejected", dropped.rejected),
                ]
            },
        };
        Self {
            instruments: [processor, exporter],
            read: Box::new(read),
        }
    }

    /// Sets and describes the counters of the `metrics` facade.
    pub(crate) fn publish(&self) {
        let counts = (self.read)();
        for instrument in &self.instruments {
            let name = prometheus_name(instrument.name);
            metrics::describe_counter!(name.clone(), instrument.description.clone());
            for (error, count) in (instrument.values)(counts) {
                let labels: Vec<Label> = instrument
                    .attributes(error)
                    .map(|(key, value)| Label::new(key.replace('.', "_"), value))
                    .collect();
                metrics::counter!(name.clone(), labels).absolute(count);
            }
        }
    }

    /// Adds the counters to a provider.
    pub(crate) fn observe(self: &Arc<Self>, provider: &SdkMeterProvider) {
        let meter = provider.meter(env!("CARGO_PKG_NAME"));
        for (index, instrument) in self.instruments.iter().enumerate() {
            let metrics = Arc::clone(self);
            meter
                .u64_observable_counter(instrument.name)
                .with_description(instrument.description.clone())
                .with_unit(instrument.unit)
                .with_callback(move |counter| {
                    let Some(instrument) = metrics.instruments.get(index) else {
                        return;
                    };
                    for (error, count) in (instrument.values)((metrics.read)()) {
                        let attributes: Vec<_> = instrument
                            .attributes(error)
                            .map(|(key, value)| KeyValue::new(key, value))
                            .collect();
                        counter.observe(count, &attributes);
                    }
                })
                .build();
        }
    }
}

impl Instrument {
    fn attributes(&self, error: &'static str) -> impl Iterator<Item = (&'static str, String)> {
        let all = [
            (key::ERROR_TYPE, error.to_owned()),
            (key::OTEL_COMPONENT_NAME, format!("{}/0", self.component)),
            (key::OTEL_COMPONENT_TYPE, self.component.clone()),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// Returns the name of a counter in Prometheus.
fn prometheus_name(name: &str) -> String {
    format!("{}_total", name.replace('.', "_"))
}

impl fmt::Debug for SdkMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkMetrics").finish_non_exhaustive()
    }
}
