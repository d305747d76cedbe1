//! Values that may be secrets do not show in warnings, errors and debug texts.

use std::cell::RefCell;
use std::collections::BTreeSet;

use tracing_subscriber::Registry;

use super::*;
use crate::layers::Layers;
use crate::options::MetricsExporter;
use crate::telemetry::Telemetry;

const CANARY: &str = "c4n4ry";

/// Variables without the prefix `OTEL_EXPORTER_OTLP_`, and their values. The canary replaces every possible secret.
const SECRET_VALUES: &str = "
    HEADERS=authorization=Bearer%20c4n4ry
    HEADERS=Authorization: Bearer c4n4ry
    HEADERS=Authorization: Bearer c4n4ry==
    HEADERS=Basic c4n4ry==
    HEADERS=c4n4ry
    HEADERS=c4n4ry=%zz
    HEADERS=c4n4ry=ä
    HEADERS=a b=c4n4ry
    HEADERS=x-key-bin=c4n4ry
    HEADERS=c4n4ry-bin=a
    ENDPOINT=http://me:c4n4ry@collector:4317
    ENDPOINT=http://me:c4n4ry@collector:x
    ENDPOINT=http://c4n4ry@collector:4317/c4n4ry?key=c4n4ry
    ENDPOINT=http://me:c4n4ry@coll ector
    ENDPOINT=http://collector:x/c4n4ry/v1
    ENDPOINT=https://collector:x?key=c4n4ry
    ENDPOINT=collector/c4n4ry
    ENDPOINT=c4n4ry@collector

    CERTIFICATE=-----BEGIN PRIVATE KEY-----c4n4ry
";

fn secret_values() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = SECRET_VALUES.lines().map(str::trim);
    lines.filter_map(|line| line.split_once('='))
}

#[test]
fn no_text_about_a_variable_shows_a_secret() {
    for signal in ["", "TRACES_", "METRICS_", "LOGS_"] {
        for (suffix, value) in secret_values() {
            let name = format!("OTEL_EXPORTER_OTLP_{signal}{suffix}");
            let mut variables = vec![("OTEL_METRICS_EXPORTER", "otlp")];
            if cfg!(feature = "logs") {
                variables.push(("OTEL_LOGS_EXPORTER", "otlp"));
            }
            if suffix == "CERTIFICATE" {
                variables.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:1"));
            }
            variables.push((&name, value));
            let resolved = resolve(&Settings::default(), &variables);
            let mut text = format!("{resolved:?} {resolved:#?}");
            if let Ok((_, warnings)) = resolved {
                for warning in warnings {
                    text.push_str(&warning.to_string());
                }
            }
            assert!(!text.contains(CANARY), "{name}={value}: {text}");
        }
    }
}

#[test]
fn no_text_about_a_setting_in_code_shows_a_secret() {
    let header = |name: &str, value: &str| Telemetry::builder("").header(name, value);
    let endpoint = |url: &str| Telemetry::builder("").endpoint(url);
    let mut builders = vec![
        header("authorization", "Bearer c4n4ry"),
        header("authorization", "c4n4ry\n"),
        header("Authorization: Bearer c4n4ry", ""),
        header("c4n4ry-bin", "a"),
        // This crate accepts the URL, and the clients do not.
        endpoint("http://me:c4n4ry@höst"),
        endpoint("http://me:c4n4ry@[::1"),
        endpoint("http://me:c4n4ry@host/%%\u{7f}"),
    ];
    let urls = secret_values().filter(|(suffix, _)| *suffix == "ENDPOINT");
    builders.extend(urls.map(|(_, url)| endpoint(url)));
    for builder in builders {
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            let builder = builder
                .clone()
                .protocol(protocol)
                .metrics(MetricsExporter::Otlp);
            let mut text = format!("{builder:?} {builder:#?}");
            let started: Result<(_, Layers<Registry>), _> = builder.local();
            match started {
                Ok((telemetry, _)) => text.push_str(&format!("{telemetry:?}")),
                Err(error) => text.push_str(&format!("{error} {error:?}")),
            }
            assert!(!text.contains(CANARY), "{text}");
        }
    }
}

/// Variables whose values are shown in warnings, because they contain no secrets.
const SHOWN: &str = "
    OTEL_SDK_DISABLED OTEL_SERVICE_NAME OTEL_RESOURCE_ATTRIBUTES OTEL_PROPAGATORS
    OTEL_TRACES_EXPORTER OTEL_METRICS_EXPORTER OTEL_LOGS_EXPORTER OTEL_METRIC_EXPORT_INTERVAL
    OTEL_METRICS_EXEMPLAR_FILTER
    OTEL_TRACES_SAMPLER OTEL_TRACES_SAMPLER_ARG METRICS_ENABLED LOG_FORMAT LOG_TRACES LOG_LEVEL RUST_LOG
    TRACES_KEEP TELEMETRY_PAGE TELEMETRY_PAGE_REMOTE
    CONTAINER_ID CONTAINER_NAME HOSTNAME KUBERNETES_SERVICE_HOST NODE_NAME POD_NAME POD_NAMESPACE POD_UID
";
/// Prefixes and suffixes of further variables.
const SHOWN_GROUPS: [(&str, &str); 6] = [
    ("OTEL_BSP_", ""),
    ("OTEL_BLRP_", ""),
    ("K8S_", ""),
    ("OTEL_", "_LIMIT"),
    ("OTEL_EXPORTER_OTLP_", "PROTOCOL"),
    ("OTEL_EXPORTER_OTLP_", "TIMEOUT"),
];

#[test]
fn every_variable_is_either_searched_for_secrets_or_listed_as_shown() {
    let read = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        let value = match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => "https://collector:1",
            "OTEL_METRICS_EXPORTER" => "otlp",
            "OTEL_LOGS_EXPORTER" if cfg!(feature = "logs") => "otlp",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Config::resolve(&Settings::default(), &lookup).unwrap();
    let is_searched = |name: &str| {
        let otlp = name.strip_prefix("OTEL_EXPORTER_OTLP_");
        otlp.is_some_and(|rest| secret_values().any(|(suffix, _)| rest.ends_with(suffix)))
    };
    let is_shown = |name: &str| {
        SHOWN.split_whitespace().any(|shown| shown == name)
            || name.ends_with("_COMPRESSION")
            || SHOWN_GROUPS
                .iter()
                .any(|(start, end)| name.starts_with(start) && name.ends_with(end))
    };
    let unknown: Vec<_> = read
        .into_inner()
        .into_iter()
        .filter(|name| !is_searched(name) && !is_shown(name))
        .collect();
    assert_eq!(unknown, [""; 0]);
}
