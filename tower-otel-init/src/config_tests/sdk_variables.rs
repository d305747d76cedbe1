//! Variables of the SDK specification: samplers, propagators, exporters, resource.

use super::*;

#[test]
fn otel_sdk_disabled_turns_the_exporters_off() {
    for (value, disabled) in [
        ("true", true),
        ("TRUE", true),
        ("false", false),
        ("", false),
    ] {
        let config = without_warnings(&[("OTEL_SDK_DISABLED", value)]);
        assert_eq!(config.traces == ExporterConfig::None, disabled, "{value}");
        assert_eq!(
            config.metrics == MetricsConfig::default(),
            disabled,
            "{value}"
        );
    }
    let (config, warning) = with_warning(&[("OTEL_SDK_DISABLED", "1")]);
    assert_eq!(warning.fallback, "false");
    assert_ne!(config.traces, ExporterConfig::None);
}

#[test]
fn otel_traces_sampler_and_its_argument_set_the_sampler() {
    for (name, sampler) in [
        ("always_on", Sampler::ratio(1.0)),
        ("always_off", Sampler::always_off()),
        ("traceidratio", Sampler::ratio(0.1)),
        ("parentbased_always_on", Sampler::ratio(1.0).parent_based()),
        (
            "parentbased_always_off",
            Sampler::always_off().parent_based(),
        ),
        (
            "parentbased_traceidratio",
            Sampler::ratio(0.1).parent_based(),
        ),
    ] {
        assert_eq!(
            without_warnings(&[("OTEL_TRACES_SAMPLER", name)]).sampler,
            sampler
        );
    }
    for unknown in ["jaeger_remote", "xray", "Always_On"] {
        let (config, warning) = with_warning(&[("OTEL_TRACES_SAMPLER", unknown)]);
        assert_eq!(config.sampler, Sampler::ratio(0.1).parent_based());
        assert_eq!(warning.fallback, "parentbased_traceidratio");
    }
    let config = without_warnings(&[("OTEL_TRACES_SAMPLER_ARG", "0.25")]);
    assert_eq!(config.sampler, Sampler::ratio(0.25).parent_based());
    for invalid in ["1.1", "-0.1", "10%", "NaN"] {
        let ratio = ("OTEL_TRACES_SAMPLER", "traceidratio");
        let (config, warning) = with_warning(&[ratio, ("OTEL_TRACES_SAMPLER_ARG", invalid)]);
        assert_eq!(
            (config.sampler, &*warning.fallback),
            (Sampler::ratio(0.1), "0.1")
        );
    }
    let on = ("OTEL_TRACES_SAMPLER", "always_on");
    without_warnings(&[on, ("OTEL_TRACES_SAMPLER_ARG", "whatever")]);
}

#[test]
fn otel_propagators_sets_the_formats() {
    use crate::options::Propagator::{Baggage, TraceContext};
    for (list, propagators) in [
        ("tracecontext", &[TraceContext][..]),
        ("baggage, tracecontext,baggage", &[Baggage, TraceContext]),
        ("none", &[]),
        ("tracecontext,none", &[]),
    ] {
        assert_eq!(
            without_warnings(&[("OTEL_PROPAGATORS", list)]).propagators,
            propagators,
            "{list}"
        );
    }
    for (word, feature, enabled) in [
        ("b3", "b3", cfg!(feature = "b3")),
        ("b3multi", "b3", cfg!(feature = "b3")),
        ("xray", "xray", cfg!(feature = "xray")),
    ] {
        let found = resolve(&Settings::default(), &[("OTEL_PROPAGATORS", word)]);
        match found {
            Ok((config, _)) if enabled => assert_eq!(config.propagators[0].as_str(), word),
            Err(error) if !enabled => assert!(error.to_string().contains(feature), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    for word in ["jaeger", "ottrace"] {
        let (config, warning) = with_warning(&[("OTEL_PROPAGATORS", word)]);
        assert!(
            warning.reason.contains("no maintained propagator"),
            "{warning}"
        );
        assert_eq!(config.propagators, [TraceContext, Baggage]);
    }
    let (_, warning) = with_warning(&[("OTEL_PROPAGATORS", "w3c")]);
    assert!(
        warning.reason.contains("tracecontext, baggage"),
        "{warning}"
    );
    let mixed = [("OTEL_PROPAGATORS", "w3c,baggage")];
    let (config, warnings) = resolve(&Settings::default(), &mixed).unwrap();
    assert_eq!(config.propagators, [Baggage]);
    assert_eq!(
        (&*warnings[0].value, &*warnings[0].fallback),
        ("w3c", "baggage")
    );
}

#[test]
fn the_variables_of_each_signal_set_its_exporter() {
    for (value, console, none) in [
        ("otlp", false, false),
        ("console", true, false),
        ("none", false, true),
    ] {
        let traces = without_warnings(&[("OTEL_TRACES_EXPORTER", value)]).traces;
        assert_eq!(
            (
                traces == ExporterConfig::Console,
                traces == ExporterConfig::None
            ),
            (console, none)
        );
    }
    assert_eq!(
        with_warning(&[("OTEL_TRACES_EXPORTER", "zipkin")])
            .1
            .fallback,
        "otlp"
    );
    for (value, pushes, prometheus, console) in [
        ("prometheus", false, true, false),
        ("console", false, false, true),
        ("none", false, false, false),
        ("otlp", true, false, false),
        ("otlp,prometheus", true, true, false),
        ("prometheus, otlp,console", true, true, true),
    ] {
        let found = without_warnings(&[("OTEL_METRICS_EXPORTER", value)]).metrics;
        let endpoint = found.otlp.as_ref().map(|otlp| &*otlp.endpoint);
        assert_eq!(
            endpoint,
            pushes.then_some("http://localhost:4317"),
            "{value}"
        );
        assert_eq!(
            (found.prometheus, found.console),
            (prometheus, console),
            "{value}"
        );
    }
    for value in ["statsd", "otlp,statsd", "none,otlp"] {
        let (config, warning) = with_warning(&[("OTEL_METRICS_EXPORTER", value)]);
        assert_eq!(
            warning.to_string(),
            format!(
                "OTEL_METRICS_EXPORTER: {value:?} is not a list of metrics exporters (expected none, or one or several \
                 of otlp, prometheus, console, separated by commas); using prometheus"
            )
        );
        assert!(config.metrics.prometheus && config.metrics.otlp.is_none());
    }
    assert_eq!(
        without_warnings(&[("OTEL_LOGS_EXPORTER", "none")]).logs,
        ExporterConfig::None
    );
    assert_eq!(
        with_warning(&[("OTEL_LOGS_EXPORTER", "file")]).1.fallback,
        "none"
    );
    let result = resolve(&Settings::default(), &[("OTEL_LOGS_EXPORTER", "otlp")]);
    match result {
        Ok((config, _)) if cfg!(feature = "logs") => {
            assert!(matches!(config.logs, ExporterConfig::Otlp(_)))
        }
        Err(InitError::InvalidSetting(problem))
            if !cfg!(feature = "logs") && problem.contains("the feature `logs`") => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn otel_resource_attributes_describes_the_service() {
    let has = |config: &Config, key: &str, value: &str| {
        config
            .resource_attributes
            .contains(&(key.to_owned(), value.to_owned()))
    };
    let list = "service.version=1.2,deployment.environment.name=a%20b";
    let config = without_warnings(&[("OTEL_RESOURCE_ATTRIBUTES", list)]);
    assert!(has(&config, "service.version", "1.2"));
    assert!(has(&config, "deployment.environment.name", "a b"));
    let (config, _) = with_warning(&[("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2,oops")]);
    assert!(!has(&config, "service.version", "1.2"));
    assert!(has(
        &without_warnings(&[("OTEL_SERVICE_NAME", "users")]),
        "service.name",
        "users"
    ));
}

#[test]
fn otel_metrics_exemplar_filter() {
    let filter = without_warnings(&[]).exemplars;
    assert_eq!(filter, ExemplarFilter::TraceBased);
    for (value, filter) in [
        ("trace_based", ExemplarFilter::TraceBased),
        ("always_off", ExemplarFilter::AlwaysOff),
    ] {
        let variable = [("OTEL_METRICS_EXEMPLAR_FILTER", value)];
        assert_eq!(without_warnings(&variable).exemplars, filter);
    }
    // An exemplar outside of a sampled span has no trace to show.
    let (config, warning) = with_warning(&[("OTEL_METRICS_EXEMPLAR_FILTER", "always_on")]);
    assert_eq!(config.exemplars, ExemplarFilter::TraceBased);
    assert_eq!(warning.fallback, "trace_based");
}

#[test]
fn traces_on_the_console_are_all_sampled_unless_a_variable_says_otherwise() {
    let console = ("OTEL_TRACES_EXPORTER", "console");
    assert_eq!(without_warnings(&[console]).sampler, Sampler::ratio(1.0));
    let empty = ("OTEL_TRACES_SAMPLER", "");
    assert_eq!(
        without_warnings(&[console, empty]).sampler,
        Sampler::ratio(1.0)
    );
    for (variable, sampler) in [
        (
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            Sampler::ratio(0.1).parent_based(),
        ),
        (
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            Sampler::ratio(0.5).parent_based(),
        ),
    ] {
        assert_eq!(without_warnings(&[console, variable]).sampler, sampler);
    }
}
