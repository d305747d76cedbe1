//! Variables of this crate, and `RUST_LOG`.

use super::*;

#[test]
fn metrics_enabled() {
    assert_eq!(
        quiet(&[("METRICS_ENABLED", "true")]).metrics,
        Target::Prometheus
    );
    let off = [
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("METRICS_ENABLED", "false"),
    ];
    assert_eq!(quiet(&off).metrics, Target::Nowhere);
    assert_eq!(refused("METRICS_ENABLED", "yes"), "one of true false");
}

#[test]
fn log_format_and_log_level() {
    assert_eq!(
        quiet(&[("LOG_FORMAT", "pretty")]).log_format,
        LogFormat::Pretty
    );
    assert_eq!(quiet(&[("LOG_FORMAT", "json")]).log_format, LogFormat::Json);
    assert_eq!(refused("LOG_FORMAT", "text"), "one of json pretty");
    for level in ["off", "error", "warn", "info", "debug", "trace", "WARN"] {
        let filter = quiet(&[("LOG_LEVEL", level)]).log_filter;
        assert!(filter.starts_with(&level.to_lowercase()), "{filter}");
    }
    assert_eq!(
        refused("LOG_LEVEL", "verbose"),
        "one of off error warn info debug trace"
    );
}

#[test]
fn rust_log_goes_over_log_level() {
    let level = ("LOG_LEVEL", "error");
    let filter = quiet(&[level, ("RUST_LOG", "warn,users=debug")]).log_filter;
    assert_eq!(filter, "warn,users=debug,opentelemetry=off");
    let sdk = quiet(&[("RUST_LOG", "info,opentelemetry_sdk=debug")]).log_filter;
    assert_eq!(sdk, "info,opentelemetry_sdk=debug");
    let (config, warning) = warned(&[level, ("RUST_LOG", "users=chatty")]);
    assert!(
        config.log_filter.starts_with("error"),
        "{}",
        config.log_filter
    );
    assert_eq!(warning.used, "LOG_LEVEL, error");
}
