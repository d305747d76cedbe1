//! The variables that have no effect, because their setting is made in code.

use opentelemetry_semantic_conventions::resource as key;

use crate::env::Env;
use crate::settings::Settings;

/// Returns the variables that are set, and that a setting in code replaces.
pub(crate) fn overridden(settings: &Settings, env: &Env<'_>) -> Vec<&'static str> {
    let replaced = settings
        .variables()
        .into_iter()
        .filter(|(is_set, _)| *is_set);
    let variables = replaced.flat_map(|(_, variables)| variables);
    let set = variables.filter(|name| env.get(name).is_some());
    set.copied().collect()
}

impl Settings {
    /// Returns whether each setting is made, and the variables that it replaces. Headers and attributes of the resource replace
    /// only those of the same name.
    pub(crate) fn variables(&self) -> [(bool, &'static [&'static str]); 15] {
        let mut attributes = self.resource_attributes.iter();
        let has_service_name = attributes.any(|(name, _)| name == key::SERVICE_NAME);
        [
            (has_service_name, &["OTEL_SERVICE_NAME"]),
            (
                self.endpoint.is_some(),
                &[
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                ],
            ),
            (
                self.protocol.is_some(),
                &[
                    "OTEL_EXPORTER_OTLP_PROTOCOL",
                    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
                ],
            ),
            (
                self.export_timeout.is_some(),
                &[
                    "OTEL_EXPORTER_OTLP_TIMEOUT",
                    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
                ],
            ),
            (
                self.sampler.is_some(),
                &["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"],
            ),
            (self.traces.is_some(), &["OTEL_TRACES_EXPORTER"]),
            (
                self.metrics.is_some(),
                &["OTEL_METRICS_EXPORTER", "METRICS_ENABLED"],
            ),
            (self.logs.is_some(), &["OTEL_LOGS_EXPORTER"]),
            (self.page.is_some(), &["TELEMETRY_PAGE"]),
            (self.queue_size.is_some(), &["OTEL_BSP_MAX_QUEUE_SIZE"]),
            (
                self.batch_size.is_some(),
                &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
            ),
            (self.schedule_delay.is_some(), &["OTEL_BSP_SCHEDULE_DELAY"]),
            (
                self.metric_interval.is_some(),
                &["OTEL_METRIC_EXPORT_INTERVAL"],
            ),
            (self.log_format.is_some(), &["LOG_FORMAT"]),
            (self.log_filter.is_some(), &["RUST_LOG", "LOG_LEVEL"]),
        ]
    }
}
