//! Values that are read when metrics are rendered or pushed.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;

/// A value with its names in both metric APIs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    /// The name in the `metrics` facade.
    pub(crate) facade_name: &'static str,
    /// The name in OpenTelemetry. `None` if the metric has no OpenTelemetry name.
    pub(crate) otel_name: Option<&'static str>,
    pub(crate) description: &'static str,
    /// The unit of the conventions.
    pub(crate) unit: &'static str,
    pub(crate) value: Reading,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// A counter in seconds. Counters of the facade are integers.
    Seconds(f64),
    Gauge(u64),
}

/// Sets and describes the metrics of the `metrics` facade.
pub(crate) fn publish(measurements: &[Measurement]) {
    for measurement in measurements {
        let (name, description) = (measurement.facade_name, measurement.description);
        match measurement.value {
            Reading::Seconds(seconds) => {
                metrics::describe_counter!(name, description);
                metrics::counter!(name).absolute(seconds as u64);
            }
            Reading::Gauge(value) => {
                metrics::describe_gauge!(name, description);
                metrics::gauge!(name).set(value as f64);
            }
        }
    }
}

/// Adds the metrics to a provider, which reads them for each export. Metrics that cannot be read now are not added.
pub(crate) fn observe(
    provider: &SdkMeterProvider,
    read: impl Fn() -> Vec<Measurement> + Send + Sync + 'static,
) {
    let meter = provider.meter(env!("CARGO_PKG_NAME"));
    let read = Arc::new(read);
    for measurement in read() {
        let Measurement {
            facade_name,
            description,
            unit,
            ..
        } = measurement;
        let Some(name) = measurement.otel_name else {
            continue;
        };
        let read = Arc::clone(&read);
        let current = move || {
            let mut all = read().into_iter();
            let current = all.find(|measurement| measurement.facade_name == facade_name);
            current.map(|measurement| measurement.value)
        };
        match measurement.value {
            Reading::Seconds(_) => {
                let counter = meter.f64_observable_counter(name);
                let counter = counter.with_description(description).with_unit(unit);
                let observe = counter.with_callback(move |counter| {
                    if let Some(Reading::Seconds(seconds)) = current() {
                        counter.observe(seconds, &[]);
                    }
                });
                observe.build();
            }
            Reading::Gauge(_) => {
                let gauge = meter.i64_observable_up_down_counter(name);
                let gauge = gauge.with_description(description).with_unit(unit);
                let observe = gauge.with_callback(move |gauge| {
                    if let Some(Reading::Gauge(value)) = current() {
                        gauge.observe(i64::try_from(value).unwrap_or(i64::MAX), &[]);
                    }
                });
                observe.build();
            }
        }
    }
}
