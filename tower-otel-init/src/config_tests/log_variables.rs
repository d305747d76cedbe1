//! Variables of this crate, and `RUST_LOG`.

use super::*;

#[test]
fn metrics_enabled() {
    assert_eq!(
        without_warnings(&[("METRICS_ENABLED", "true")]).metrics,
        ExporterConfig::Prometheus
    );
    let off = [
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("METRICS_ENABLED", "false"),
    ];
    assert_eq!(without_warnings(&off).metrics, ExporterConfig::None);
    assert_eq!(
        invalid_reason("METRICS_ENABLED", "yes"),
        "is not a boolean (expected one of true, false)"
    );
}

#[test]
fn log_format_and_log_level() {
    assert_eq!(
        without_warnings(&[("LOG_FORMAT", "pretty")]).log_format,
        LogFormat::Pretty
    );
    assert_eq!(
        without_warnings(&[("LOG_FORMAT", "json")]).log_format,
        LogFormat::Json
    );
    assert_eq!(
        invalid_reason("LOG_FORMAT", "text"),
        "is not a log format (expected one of json, pretty)"
    );
    for level in ["off", "error", "warn", "info", "debug", "trace", "WARN"] {
        let filter = without_warnings(&[("LOG_LEVEL", level)]).log_filter;
        assert!(filter.starts_with(&level.to_lowercase()), "{filter}");
    }
    assert_eq!(
        invalid_reason("LOG_LEVEL", "verbose"),
        "is not a log level (expected one of off, error, warn, info, debug, trace)"
    );
}

#[test]
fn rust_log_takes_precedence_over_log_level() {
    let level = ("LOG_LEVEL", "error");
    let filter = without_warnings(&[level, ("RUST_LOG", "warn,users=debug")]).log_filter;
    assert_eq!(filter, "warn,users=debug,opentelemetry=off");
    let sdk = without_warnings(&[("RUST_LOG", "info,opentelemetry_sdk=debug")]).log_filter;
    assert_eq!(sdk, "info,opentelemetry_sdk=debug");
    let (config, warning) = with_warning(&[level, ("RUST_LOG", "users=chatty")]);
    assert!(
        config.log_filter.starts_with("error"),
        "{}",
        config.log_filter
    );
    assert_eq!(warning.fallback, "LOG_LEVEL=error");
}
