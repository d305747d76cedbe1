//! Variables of this crate, and `RUST_LOG`.

use super::*;
use crate::keep_rules;

#[test]
fn metrics_enabled() {
    assert!(
        without_warnings(&[("METRICS_ENABLED", "true")])
            .metrics
            .prometheus
    );
    let off = [
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
        ("METRICS_ENABLED", "false"),
    ];
    assert_eq!(without_warnings(&off).metrics, MetricsConfig::default());
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

#[test]
fn spaces_around_directives_of_a_log_filter_are_ignored() {
    let filter = |value| without_warnings(&[("RUST_LOG", value)]).log_filter;
    assert_eq!(filter(" info, users=debug "), filter("info,users=debug"));
    let (_, warning) = with_warning(&[("RUST_LOG", "info, 2÷=x")]);
    assert_eq!(warning.fallback, "LOG_LEVEL=info");
}

#[test]
fn log_traces() {
    assert_eq!(without_warnings(&[]).log_traces, LogTraces::All);
    let sampled = without_warnings(&[("LOG_TRACES", "sampled")]).log_traces;
    assert_eq!(sampled, LogTraces::Sampled);
    assert_eq!(
        invalid_reason("LOG_TRACES", "kept"),
        "is not a choice of traces (expected one of all, sampled)"
    );
}

#[test]
fn traces_keep() {
    let keep = |variables: &[_]| keep_rules::text(without_warnings(variables).keep);
    let default = "errors,slower_than=1s,per_second=100";
    assert_eq!(keep(&[]), default);
    for (value, rules) in [
        ("", default),
        ("none", "none"),
        ("errors", "errors,per_second=100"),
        (
            "errors,slower_than=500ms,per_second=50",
            "errors,slower_than=500ms,per_second=50",
        ),
        (
            " per_second = 5 , slower_than = 2s ",
            "slower_than=2s,per_second=5",
        ),
    ] {
        assert_eq!(keep(&[("TRACES_KEEP", value)]), rules);
    }
    for invalid in [
        "all",
        "None",
        "none,errors",
        "errors,errors",
        "errors=true",
        "errors,",
        "slower_than",
        "slower_than=1",
        "slower_than=0ms",
        "slower_than=0.5s",
        "slower_than=-1s",
        "slower_than=99999999999s",
        "per_second=50",
        "errors,per_second=0",
        "errors,per_second=-1",
        "errors,per_second=1,per_second=2",
    ] {
        let reason = invalid_reason("TRACES_KEEP", invalid);
        assert!(reason.starts_with("is not a list of keep rules (expected none, or"));
    }
    for sampler in ["always_off", "parentbased_always_off"] {
        let off = ("OTEL_TRACES_SAMPLER", sampler);
        assert_eq!(keep(&[off]), "none");
        let on = ("TRACES_KEEP", "errors");
        assert_eq!(keep(&[off, on]), "errors,per_second=100");
    }
}
