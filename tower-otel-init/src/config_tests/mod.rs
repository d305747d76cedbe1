//! Tests of the configuration that variables and settings result in.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod batch_variables;
mod limit_variables;
mod log_variables;
mod otlp_variables;
mod overridden;
mod sdk_variables;
mod secrets;

use super::*;
use crate::metrics_exporters::MetricsExporters;
use crate::options::{Protocol, TracesExporter};
use crate::otlp_config::OtlpConfig;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn resolve(
    settings: &Settings,
    variables: Variables<'_>,
) -> Result<(Config, Vec<ConfigWarning>), InitError> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(other, _)| *other == name)?;
        Some(found.1.to_owned())
    };
    Config::resolve(settings, &lookup)
}

/// Returns the configuration, and asserts that there is no warning.
fn without_warnings(variables: Variables<'_>) -> Config {
    let (config, warnings) = resolve(&Settings::default(), variables).unwrap();
    assert_eq!(warnings, [], "{variables:?}");
    config
}

/// Returns the configuration and its only warning. Asserts that the warning is about the last variable.
fn with_warning(variables: Variables<'_>) -> (Config, ConfigWarning) {
    let (config, warnings) = resolve(&Settings::default(), variables).unwrap();
    let [warning] = <[_; 1]>::try_from(warnings).unwrap();
    let (name, value) = *variables.last().unwrap();
    assert_eq!((&*warning.variable, &*warning.value), (name, value));
    (config, warning)
}

/// Returns the reason in the error for this value of the variable.
fn invalid_reason(name: &str, value: &str) -> String {
    let error = resolve(&Settings::default(), &[(name, value)]).unwrap_err();
    let InitError::InvalidSetting(problem) = error else {
        panic!("{error}");
    };
    let reason = problem.strip_prefix(&format!("{name}: {value:?} "));
    reason.unwrap_or_else(|| panic!("{problem}")).to_owned()
}

fn otlp(exporter: &ExporterConfig) -> &OtlpConfig {
    match exporter {
        ExporterConfig::Otlp(otlp) => otlp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_variables_the_documented_defaults_apply() {
    let config = without_warnings(&[]);
    assert_eq!(otlp(&config.traces).endpoint, "http://localhost:4317");
    assert_eq!(otlp(&config.traces).protocol, Protocol::Grpc);
    assert_eq!(config.sampler, Sampler::ratio(0.1).parent_based());
    let prometheus = MetricsConfig {
        prometheus: true,
        ..MetricsConfig::default()
    };
    assert_eq!(config.metrics, prometheus);
    assert_eq!(config.logs, ExporterConfig::None);
    assert_eq!(config.log_format, LogFormat::Json);
    assert!(config.log_filter.starts_with("info,"));
    let both = [Propagator::TraceContext, Propagator::Baggage];
    assert_eq!(config.propagators, both);
    let batch = BatchConfig {
        queue_size: 2048,
        batch_size: 512,
        schedule_delay: Duration::from_secs(5),
        export_timeout: Duration::from_secs(30),
    };
    assert_eq!(config.span_batch, batch);
    assert_eq!(config.metric_interval, Duration::from_secs(60));
}

#[test]
fn settings_in_code_take_precedence_over_variables() {
    let settings = Settings {
        endpoint: Some("http://code:1".to_owned()),
        sampler: Some(Sampler::ratio(1.0)),
        traces: Some(TracesExporter::Otlp),
        metrics: Some(MetricsExporters::default()),
        queue_size: Some(10),
        log_format: Some(LogFormat::Pretty),
        log_filter: Some("debug".to_owned()),
        export_timeout: Some(Duration::from_secs(1)),
        ..Settings::default()
    };
    let (config, warnings) = resolve(
        &settings,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:1"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env:2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "20"),
            ("LOG_FORMAT", "json"),
            ("RUST_LOG", "error"),
        ],
    )
    .unwrap();
    assert_eq!(warnings, []);
    assert_eq!(otlp(&config.traces).endpoint, "http://code:1");
    assert_eq!(otlp(&config.traces).timeout, Duration::from_secs(1));
    assert_eq!(config.sampler, Sampler::ratio(1.0));
    assert_eq!(config.metrics, MetricsConfig::default());
    assert_eq!(
        (config.span_batch.queue_size, config.span_batch.batch_size),
        (10, 10)
    );
    assert_eq!(
        (config.log_format, &*config.log_filter),
        (LogFormat::Pretty, "debug")
    );
}

#[test]
fn invalid_settings_in_code_are_errors() {
    let error_of = |settings: Settings| resolve(&settings, &[]).unwrap_err().to_string();
    let default = Settings::default;
    let endpoint = Some("collector:4317".to_owned());
    assert!(
        error_of(Settings {
            endpoint,
            ..default()
        })
        .contains("http:// or https://")
    );
    let sampler = Some(Sampler::ratio(f64::NAN));
    assert!(
        error_of(Settings {
            sampler,
            ..default()
        })
        .contains("expected 0.0 to 1.0")
    );
    let queue_size = Some(0);
    assert!(
        error_of(Settings {
            queue_size,
            ..default()
        })
        .contains("queue_size")
    );
}
