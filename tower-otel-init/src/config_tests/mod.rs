#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod batch_variables;
mod log_variables;
mod otlp_variables;
mod sdk_variables;

use super::*;
use crate::options::Propagator;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn resolve(
    settings: &Settings,
    variables: Variables<'_>,
) -> Result<(Config, Vec<Warning>), InitError> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(own, _)| *own == name)?;
        Some(found.1.to_owned())
    };
    Config::resolve(settings, &lookup)
}

fn quiet(variables: Variables<'_>) -> Config {
    let (config, warnings) = resolve(&Settings::default(), variables).unwrap();
    assert_eq!(warnings, [], "{variables:?}");
    config
}

/// One warning, about this variable and value, and what is used.
fn warned(variables: Variables<'_>) -> (Config, Warning) {
    let (config, warnings) = resolve(&Settings::default(), variables).unwrap();
    let [warning] = <[_; 1]>::try_from(warnings).unwrap();
    let (name, value) = *variables.last().unwrap();
    assert_eq!((&*warning.variable, &*warning.value), (name, value));
    (config, warning)
}

fn refused(name: &str, value: &str) -> String {
    let error = resolve(&Settings::default(), &[(name, value)]).unwrap_err();
    let InitError::Value {
        name: named,
        value: shown,
        accepted,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((&*named, &*shown), (name, value));
    accepted
}

fn otlp(target: &Target) -> &Otlp {
    match target {
        Target::Otlp(otlp) => otlp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_variables_there_are_the_defaults_of_the_story() {
    let config = quiet(&[]);
    assert_eq!(otlp(&config.traces).endpoint, "http://localhost:4317");
    assert_eq!(otlp(&config.traces).protocol, Protocol::Grpc);
    assert_eq!(config.sampler, Sampler::ParentBasedRatio(0.1));
    assert_eq!(config.metrics, Target::Prometheus);
    assert_eq!(config.logs, Target::Nowhere);
    assert_eq!(config.log_format, LogFormat::Json);
    assert!(config.log_filter.starts_with("info,"));
    let both = [Propagator::TraceContext, Propagator::Baggage];
    assert_eq!(config.propagators, both);
    let batch = Batch {
        queue_size: 2048,
        batch_size: 512,
        schedule_delay: Duration::from_secs(5),
        export_timeout: Duration::from_secs(30),
    };
    assert_eq!(config.batch, batch);
    assert_eq!(config.metric_interval, Duration::from_secs(60));
}

#[test]
fn the_code_wins_over_the_environment() {
    let settings = Settings {
        endpoint: Some("http://code:1".to_owned()),
        sampler: Some(Sampler::AlwaysOn),
        traces: Some(TracesExporter::Otlp),
        metrics: Some(MetricsExporter::None),
        queue_size: Some(10),
        log_format: Some(LogFormat::Pretty),
        log_filter: Some("debug".to_owned()),
        timeout: Some(Duration::from_secs(1)),
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
    assert_eq!(config.sampler, Sampler::AlwaysOn);
    assert_eq!(config.metrics, Target::Nowhere);
    assert_eq!((config.batch.queue_size, config.batch.batch_size), (10, 10));
    assert_eq!(
        (config.log_format, &*config.log_filter),
        (LogFormat::Pretty, "debug")
    );
}

#[test]
fn nonsense_of_the_code_is_an_error() {
    let wrong = |settings: Settings| resolve(&settings, &[]).unwrap_err().to_string();
    let default = Settings::default;
    let endpoint = Some("collector:4317".to_owned());
    assert!(
        wrong(Settings {
            endpoint,
            ..default()
        })
        .contains("http:// or https://")
    );
    let sampler = Some(Sampler::Ratio(f64::NAN));
    assert!(
        wrong(Settings {
            sampler,
            ..default()
        })
        .contains("from 0 to 1")
    );
    let queue_size = Some(0);
    assert!(
        wrong(Settings {
            queue_size,
            ..default()
        })
        .contains("queue_size")
    );
}
