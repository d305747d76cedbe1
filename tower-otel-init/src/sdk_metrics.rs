//! Metrics about exported and dropped spans and log records.
//!
//! <https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/>

use std::fmt;
use std::sync::Arc;

use metrics::Label;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_semantic_conventions::attribute as key;

use crate::item_counts::ItemCounts;
use crate::sdk_instruments::{Instrument, Values, log_record_instruments, span_instruments};

/// A signal whose dropped items are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CountedSignal {
    Spans,
    #[cfg_attr(not(feature = "logs"), allow(dead_code))]
    LogRecords,
}

/// The metrics of one signal.
pub(crate) struct SdkMetrics {
    instruments: [Instrument; 4],
    /// The prefix of the type of the exporter, such as `otlp_grpc`.
    protocol: &'static str,
    read: Box<dyn Fn() -> ItemCounts + Send + Sync>,
}

impl SdkMetrics {
    /// Returns the metrics of a signal. `protocol` is the prefix of the type of the exporter.
    pub(crate) fn new(
        signal: CountedSignal,
        protocol: &'static str,
        read: impl Fn() -> ItemCounts + Send + Sync + 'static,
    ) -> Self {
        Self {
            instruments: match signal {
                CountedSignal::Spans => span_instruments(),
                CountedSignal::LogRecords => log_record_instruments(),
            },
            protocol,
            read: Box::new(read),
        }
    }

    /// Sets and describes the metrics of the `metrics` facade.
    pub(crate) fn publish(&self) {
        let counts = (self.read)();
        for instrument in &self.instruments {
            let name = instrument.name.replace('.', "_");
            let labels = |error| -> Vec<Label> {
                self.attributes(instrument, error)
                    .map(|(key, value)| Label::new(key.replace('.', "_"), value))
                    .collect()
            };
            match instrument.values {
                Values::Counter(values) => {
                    let name = format!("{name}_total");
                    metrics::describe_counter!(name.clone(), instrument.description);
                    for (error, count) in values(counts) {
                        metrics::counter!(name.clone(), labels(error)).absolute(count);
                    }
                }
                Values::Gauge(value) => {
                    metrics::describe_gauge!(name.clone(), instrument.description);
                    metrics::gauge!(name, labels("")).set(value(counts) as f64);
                }
            }
        }
    }

    /// Adds the metrics to a provider.
    pub(crate) fn observe(self: &Arc<Self>, provider: &SdkMeterProvider) {
        let meter = provider.meter(env!("CARGO_PKG_NAME"));
        for instrument in &self.instruments {
            let metrics = Arc::clone(self);
            let instrument = *instrument;
            let attributes = move |metrics: &Self, error| -> Vec<KeyValue> {
                let attributes = metrics.attributes(&instrument, error);
                attributes
                    .map(|(key, value)| KeyValue::new(key, value))
                    .collect()
            };
            match instrument.values {
                Values::Counter(values) => {
                    let counter = meter
                        .u64_observable_counter(instrument.name)
                        .with_description(instrument.description)
                        .with_unit(instrument.unit);
                    counter
                        .with_callback(move |counter| {
                            for (error, count) in values((metrics.read)()) {
                                counter.observe(count, &attributes(&metrics, error));
                            }
                        })
                        .build();
                }
                Values::Gauge(value) => {
                    let gauge = meter
                        .i64_observable_up_down_counter(instrument.name)
                        .with_description(instrument.description)
                        .with_unit(instrument.unit);
                    gauge
                        .with_callback(move |gauge| {
                            let value = value((metrics.read)());
                            let value = i64::try_from(value).unwrap_or(i64::MAX);
                            gauge.observe(value, &attributes(&metrics, ""));
                        })
                        .build();
                }
            }
        }
    }

    /// Returns the attributes of a series. `error` is the `error.type`, which is empty for success.
    fn attributes(
        &self,
        instrument: &Instrument,
        error: &'static str,
    ) -> impl Iterator<Item = (&'static str, String)> {
        let component = instrument.component.name(self.protocol);
        let all = [
            (key::ERROR_TYPE, error.to_owned()),
            (key::OTEL_COMPONENT_NAME, format!("{component}/0")),
            (key::OTEL_COMPONENT_TYPE, component),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

impl fmt::Debug for SdkMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkMetrics").finish_non_exhaustive()
    }
}
