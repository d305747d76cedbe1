//! Variables that settings in code replace.

use std::net::Ipv4Addr;

use super::*;
use crate::options::LogsExporter;

fn all_settings() -> Settings {
    Settings {
        resource_attributes: vec![("service.name".to_owned(), "code".to_owned())],
        endpoint: Some("http://code:1".to_owned()),
        protocol: Some(Protocol::Grpc),
        export_timeout: Some(Duration::from_secs(1)),
        sampler: Some(Sampler::ratio(0.5)),
        traces: Some(TracesExporter::Otlp),
        metrics: Some(MetricsExporters::default()),
        logs: Some(LogsExporter::None),
        page: cfg!(feature = "page").then_some((Ipv4Addr::LOCALHOST, 1).into()),
        queue_size: Some(10),
        batch_size: Some(10),
        schedule_delay: Some(Duration::from_secs(1)),
        metric_interval: Some(Duration::from_secs(1)),
        log_format: Some(LogFormat::Pretty),
        log_filter: Some("debug".to_owned()),
        ..Settings::default()
    }
}

/// Returns a valid value that is not that of the settings.
fn other_value(name: &str) -> &'static str {
    match name {
        "METRICS_ENABLED" => "false",
        "LOG_FORMAT" => "json",
        "RUST_LOG" | "LOG_LEVEL" => "warn",
        "TELEMETRY_PAGE" => "127.0.0.1:2",
        "OTEL_TRACES_SAMPLER" => "always_off",
        "OTEL_TRACES_SAMPLER_ARG" => "0.2",
        "OTEL_TRACES_EXPORTER" | "OTEL_METRICS_EXPORTER" | "OTEL_LOGS_EXPORTER" => "otlp",
        _ if name.ends_with("_ENDPOINT") => "http://variable:1",
        _ if name.ends_with("_PROTOCOL") => "http/protobuf",
        _ => "7",
    }
}

/// Returns everything but the attributes that differ between two calls, and the list.
fn effect(config: &Config) -> String {
    let config = Config {
        resource_attributes: vec![("service.name".to_owned(), config.service_name().to_owned())],
        overridden: Vec::new(),
        ..config.clone()
    };
    format!("{config:?}")
}

#[test]
fn each_overridden_variable_is_listed_and_has_no_effect() {
    let settings = all_settings();
    let names = settings.variables().into_iter();
    let names = names.filter(|(is_set, _)| *is_set);
    let names: Vec<&str> = names.flat_map(|(_, names)| names).copied().collect();
    assert!(names.len() > 25, "{names:?}");
    let variables: Vec<_> = names
        .iter()
        .map(|name| (*name, other_value(name)))
        .collect();
    let (config, warnings) = resolve(&settings, &variables).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.overridden, names);
    let without = resolve(&settings, &[]).unwrap().0;
    assert_eq!(without.overridden, Vec::<&str>::new());
    assert_eq!(effect(&config), effect(&without));
}

#[test]
fn each_variable_of_the_list_has_an_effect_without_the_setting() {
    let names = all_settings().variables().into_iter();
    let (config, _) = resolve(&Settings::default(), &[]).unwrap();
    for name in names.flat_map(|(_, names)| names) {
        // Those of signals that are not exported have none.
        let is_of_other_signal = ["_METRICS_", "_LOGS_"]
            .iter()
            .any(|part| name.contains(part));
        let is_off = cfg!(not(feature = "logs")) && *name == "OTEL_LOGS_EXPORTER";
        let is_off = is_off || cfg!(not(feature = "page")) && *name == "TELEMETRY_PAGE";
        let is_known = name.starts_with("OTEL_EXPORTER_OTLP_") && is_of_other_signal || is_off;
        if is_known || name.contains("_PROTOCOL") && cfg!(not(feature = "http")) {
            continue;
        }
        let value = match *name {
            "LOG_FORMAT" => "pretty",
            "OTEL_TRACES_EXPORTER" => "none",
            name => other_value(name),
        };
        let (changed, _) = resolve(&Settings::default(), &[(name, value)]).unwrap();
        assert_eq!(changed.overridden, Vec::<&str>::new());
        assert_ne!(effect(&changed), effect(&config), "{name}");
    }
}
