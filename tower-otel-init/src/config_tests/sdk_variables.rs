//! Variables of the specification for all of it.

use super::*;

#[test]
fn otel_sdk_disabled() {
    for (value, off) in [
        ("true", true),
        ("TRUE", true),
        ("false", false),
        ("", false),
    ] {
        let config = quiet(&[("OTEL_SDK_DISABLED", value)]);
        assert_eq!(config.traces == Target::Nowhere, off, "{value}");
        assert_eq!(config.metrics == Target::Nowhere, off, "{value}");
    }
    let (config, warning) = warned(&[("OTEL_SDK_DISABLED", "1")]);
    assert_eq!(warning.used, "false");
    assert_ne!(config.traces, Target::Nowhere);
}

#[test]
fn otel_traces_sampler_and_its_argument() {
    for (name, sampler) in [
        ("always_on", Sampler::AlwaysOn),
        ("always_off", Sampler::AlwaysOff),
        ("traceidratio", Sampler::Ratio(0.1)),
        ("parentbased_always_on", Sampler::ParentBasedAlwaysOn),
        ("parentbased_always_off", Sampler::ParentBasedAlwaysOff),
        ("parentbased_traceidratio", Sampler::ParentBasedRatio(0.1)),
    ] {
        assert_eq!(quiet(&[("OTEL_TRACES_SAMPLER", name)]).sampler, sampler);
    }
    for unknown in ["jaeger_remote", "xray", "Always_On"] {
        let (config, warning) = warned(&[("OTEL_TRACES_SAMPLER", unknown)]);
        assert_eq!(config.sampler, Sampler::ParentBasedRatio(0.1));
        assert_eq!(warning.used, "parentbased_traceidratio");
    }
    let config = quiet(&[("OTEL_TRACES_SAMPLER_ARG", "0.25")]);
    assert_eq!(config.sampler, Sampler::ParentBasedRatio(0.25));
    for wrong in ["1.1", "-0.1", "10%", "NaN"] {
        let ratio = ("OTEL_TRACES_SAMPLER", "traceidratio");
        let (config, warning) = warned(&[ratio, ("OTEL_TRACES_SAMPLER_ARG", wrong)]);
        assert_eq!(
            (config.sampler, &*warning.used),
            (Sampler::Ratio(0.1), "0.1")
        );
    }
    let on = ("OTEL_TRACES_SAMPLER", "always_on");
    quiet(&[on, ("OTEL_TRACES_SAMPLER_ARG", "whatever")]);
}

#[test]
fn otel_propagators() {
    use Propagator::{Baggage, TraceContext};
    for (list, chosen) in [
        ("tracecontext", &[TraceContext][..]),
        ("baggage, tracecontext,baggage", &[Baggage, TraceContext]),
        ("none", &[]),
        ("tracecontext,none", &[]),
    ] {
        assert_eq!(
            quiet(&[("OTEL_PROPAGATORS", list)]).propagators,
            chosen,
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
            Ok((config, _)) if enabled => assert_eq!(config.propagators[0].to_string(), word),
            Err(error) if !enabled => assert!(error.to_string().contains(feature), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    for word in ["jaeger", "ottrace"] {
        let (config, warning) = warned(&[("OTEL_PROPAGATORS", word)]);
        assert!(
            warning.reason.contains("no maintained propagator"),
            "{warning}"
        );
        assert_eq!(config.propagators, [TraceContext, Baggage]);
    }
    let (_, warning) = warned(&[("OTEL_PROPAGATORS", "w3c")]);
    assert!(warning.reason.contains("tracecontext baggage"), "{warning}");
    let mixed = [("OTEL_PROPAGATORS", "w3c,baggage")];
    let (config, warnings) = resolve(&Settings::default(), &mixed).unwrap();
    assert_eq!(config.propagators, [Baggage]);
    assert_eq!(
        (&*warnings[0].value, &*warnings[0].used),
        ("w3c", "baggage")
    );
}

#[test]
fn otel_exporters() {
    for (value, console, nowhere) in [
        ("otlp", false, false),
        ("console", true, false),
        ("none", false, true),
    ] {
        let traces = quiet(&[("OTEL_TRACES_EXPORTER", value)]).traces;
        assert_eq!(
            (traces == Target::Console, traces == Target::Nowhere),
            (console, nowhere)
        );
    }
    assert_eq!(warned(&[("OTEL_TRACES_EXPORTER", "zipkin")]).1.used, "otlp");
    for (value, target) in [
        ("prometheus", Target::Prometheus),
        ("console", Target::Console),
        ("none", Target::Nowhere),
    ] {
        assert_eq!(quiet(&[("OTEL_METRICS_EXPORTER", value)]).metrics, target);
    }
    let metrics = quiet(&[("OTEL_METRICS_EXPORTER", "otlp")]).metrics;
    assert_eq!(otlp(&metrics).endpoint, "http://localhost:4317");
    assert_eq!(
        warned(&[("OTEL_METRICS_EXPORTER", "statsd")]).1.used,
        "prometheus"
    );
    assert_eq!(
        quiet(&[("OTEL_LOGS_EXPORTER", "none")]).logs,
        Target::Nowhere
    );
    assert_eq!(warned(&[("OTEL_LOGS_EXPORTER", "file")]).1.used, "none");
    let asked = resolve(&Settings::default(), &[("OTEL_LOGS_EXPORTER", "otlp")]);
    match asked {
        Ok((config, _)) if cfg!(feature = "logs") => {
            assert!(matches!(config.logs, Target::Otlp(_)))
        }
        Err(InitError::Feature {
            feature: "logs", ..
        }) if !cfg!(feature = "logs") => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn otel_resource_attributes() {
    let has = |config: &Config, key: &str, value: &str| {
        config
            .attributes
            .contains(&(key.to_owned(), value.to_owned()))
    };
    let list = "service.version=1.2,deployment.environment.name=a%20b";
    let config = quiet(&[("OTEL_RESOURCE_ATTRIBUTES", list)]);
    assert!(has(&config, "service.version", "1.2"));
    assert!(has(&config, "deployment.environment.name", "a b"));
    let (config, _) = warned(&[("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2,oops")]);
    assert!(!has(&config, "service.version", "1.2"));
    assert!(has(
        &quiet(&[("OTEL_SERVICE_NAME", "users")]),
        "service.name",
        "users"
    ));
}
