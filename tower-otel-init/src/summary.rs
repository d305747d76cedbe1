//! The configuration of telemetry in one line.

use crate::config::Config;
use crate::endpoint::origin;
use crate::exporter_config::ExporterConfig;
use crate::metrics_config::MetricsConfig;
use crate::options::Protocol;
use crate::otlp_config::OtlpConfig;
use crate::sampler::{Sampler, Share};

/// Returns the service, the exporters and the sampler in one line, without credentials.
///
/// The Prometheus recorder is named only if `global`, because local telemetry does not install it.
pub(crate) fn summary(config: &Config, global: bool) -> String {
    let service = config.service_name();
    if config.sdk_disabled {
        return format!("telemetry of {service} is disabled by OTEL_SDK_DISABLED");
    }
    let traces = match &config.traces {
        ExporterConfig::None if config.page.is_none() => "traces are not exported".to_owned(),
        exporter => {
            let kept = match config.keep {
                Some(_) if config.sampler != Sampler::ratio(1.0) => {
                    ", and unsampled traces are exported by keep rules (TRACES_KEEP)"
                }
                _ => "",
            };
            format!(
                "traces {}, {}{kept}",
                target(exporter),
                sampled(&config.sampler)
            )
        }
    };
    let of = |signal: &str, exporter: &ExporterConfig| match exporter {
        ExporterConfig::None => format!("{signal} are not exported"),
        exporter => format!("{signal} {}", target(exporter)),
    };
    let metrics = metrics(&config.metrics, global);
    let logs = of("log records", &config.logs);
    let overridden = match config.overridden.is_empty() {
        true => String::new(),
        false => format!(
            "; settings in code take precedence over {}",
            config.overridden.join(", ")
        ),
    };
    format!("telemetry of {service}: {traces}; {metrics}; {logs}{overridden}")
}

fn target(exporter: &ExporterConfig) -> String {
    match exporter {
        ExporterConfig::Otlp(otlp) => collector(otlp),
        ExporterConfig::Console => "to the console".to_owned(),
        ExporterConfig::None => "to the page only".to_owned(),
    }
}

fn collector(otlp: &OtlpConfig) -> String {
    let protocol = match otlp.protocol {
        Protocol::Grpc => "gRPC",
        Protocol::HttpProtobuf => "HTTP",
    };
    format!("to {} by OTLP over {protocol}", origin(&otlp.endpoint))
}

fn metrics(config: &MetricsConfig, global: bool) -> String {
    let targets = [
        config.otlp.as_ref().map(collector),
        (global && config.prometheus).then(|| "for Prometheus".to_owned()),
        (global && config.console).then(|| "to the console".to_owned()),
    ];
    let targets: Vec<_> = targets.into_iter().flatten().collect();
    match targets.is_empty() {
        true => "metrics are not exported".to_owned(),
        false => format!("metrics {}", targets.join(" and ")),
    }
}

fn sampled(sampler: &Sampler) -> String {
    let share = match sampler.share {
        Share::Off => "none".to_owned(),
        Share::Ratio(1.0) => "all".to_owned(),
        Share::Ratio(ratio) => format!("{} %", (1e6 * ratio).round() / 1e4),
        Share::PerSecond(traces) => format!("{traces} per second"),
    };
    let of = match sampler.is_parent_based {
        true => " of those without a parent",
        false => "",
    };
    let rules = match sampler.rules.len() {
        0 => String::new(),
        1 => ", after 1 rule".to_owned(),
        rules => format!(", after {rules} rules"),
    };
    format!("{share}{of} are sampled{rules}")
}

/// Returns a warning if the port of a collector is the default port of the other protocol.
pub(crate) fn port_warning(otlp: &OtlpConfig) -> Option<String> {
    let endpoint = origin(&otlp.endpoint);
    let (port, own, other) = match otlp.protocol {
        Protocol::Grpc => (":4318", "grpc", "http/protobuf"),
        Protocol::HttpProtobuf => (":4317", "http/protobuf", "grpc"),
    };
    endpoint.ends_with(port).then(|| {
        format!(
            "the endpoint {endpoint} has the usual port of the protocol {other}, and the protocol is {own}; if exports \
             fail, set OTEL_EXPORTER_OTLP_PROTOCOL={other}"
        )
    })
}

#[cfg(all(test, feature = "grpc", feature = "http", feature = "prometheus"))]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::options::TracesExporter;
    use crate::settings::Settings;

    fn config(variables: &[(&str, &str)]) -> Config {
        let settings = Settings {
            default_service_name: Some("users".to_owned()),
            ..Settings::default()
        };
        config_with(&settings, variables)
    }

    fn config_with(settings: &Settings, variables: &[(&str, &str)]) -> Config {
        let lookup = |name: &str| {
            let variable = variables.iter().find(|(own, _)| *own == name);
            variable.map(|(_, value)| (*value).into())
        };
        Config::resolve(settings, &lookup).unwrap().0
    }

    #[test]
    fn the_summary_names_the_variables_that_code_overrides() {
        let settings = Settings {
            resource_attributes: vec![("service.name".to_owned(), "shop".to_owned())],
            traces: Some(TracesExporter::None),
            ..Settings::default()
        };
        let variables = [
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("OTEL_SERVICE_NAME", "users"),
        ];
        let text = summary(&config_with(&settings, &variables), true);
        let end = "; settings in code take precedence over OTEL_SERVICE_NAME, OTEL_TRACES_EXPORTER";
        assert!(text.ends_with(end), "{text}");
        let text = summary(&config(&variables), true);
        assert!(!text.contains("precedence"), "{text}");
    }

    #[test]
    fn the_summary_names_service_exporters_and_sampler_without_credentials() {
        for (variables, expected) in [
            (
                &[("OTEL_TRACES_SAMPLER_ARG", "0.07")][..],
                "telemetry of users: traces to http://localhost:4317 by OTLP over gRPC, 7 % of those without a parent are \
                 sampled, and unsampled traces are exported by keep rules (TRACES_KEEP); metrics for Prometheus; log records are not exported",
            ),
            (
                &[
                    ("OTEL_SERVICE_NAME", "shop"),
                    (
                        "OTEL_EXPORTER_OTLP_ENDPOINT",
                        "https://key:canary@a.example/canary",
                    ),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                    ("OTEL_TRACES_SAMPLER", "always_on"),
                    ("OTEL_METRICS_EXPORTER", "otlp"),
                ],
                "telemetry of shop: traces to https://a.example by OTLP over HTTP, all are sampled; metrics to \
                 https://a.example by OTLP over HTTP; log records are not exported",
            ),
            (
                &[
                    ("OTEL_TRACES_EXPORTER", "none"),
                    ("OTEL_METRICS_EXPORTER", "prometheus,otlp"),
                ],
                "telemetry of users: traces are not exported; metrics to http://localhost:4317 by OTLP over gRPC and for \
                 Prometheus; log records are not exported",
            ),
            (
                &[
                    ("OTEL_TRACES_EXPORTER", "none"),
                    ("METRICS_ENABLED", "false"),
                ],
                "telemetry of users: traces are not exported; metrics are not exported; log records are not exported",
            ),
            #[cfg(feature = "page")]
            (
                &[("TELEMETRY_PAGE", "127.0.0.1:0")],
                "telemetry of users: traces to the page only, all are sampled; metrics for \
                 Prometheus; log records are not exported",
            ),
            #[cfg(feature = "page")]
            (
                &[
                    ("TELEMETRY_PAGE", "127.0.0.1:0"),
                    ("OTEL_TRACES_SAMPLER_ARG", "0.07"),
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a.example"),
                ],
                "telemetry of users: traces to http://a.example by OTLP over gRPC, 7 % of those without a parent are \
                 sampled, and unsampled traces are exported by keep rules (TRACES_KEEP); metrics for Prometheus; log records are not exported",
            ),
            (
                &[("OTEL_SDK_DISABLED", "true")],
                "telemetry of users is disabled by OTEL_SDK_DISABLED",
            ),
        ] {
            assert_eq!(summary(&config(variables), true), expected);
        }
    }

    #[test]
    fn the_port_of_the_other_protocol_is_a_warning() {
        for (protocol, port, expected) in [
            ("grpc", 4317, None),
            (
                "grpc",
                4318,
                Some("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
            ),
            ("http/protobuf", 4318, None),
            (
                "http/protobuf",
                4317,
                Some("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
            ),
        ] {
            let endpoint = format!("http://collector:{port}");
            let config = config(&[
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ]);
            let ExporterConfig::Otlp(otlp) = &config.traces else {
                panic!("not OTLP");
            };
            let warning = port_warning(otlp);
            assert_eq!(warning.is_some(), expected.is_some(), "{protocol} {port}");
            assert!(
                warning
                    .unwrap_or_default()
                    .contains(expected.unwrap_or_default())
            );
        }
    }
}
