#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::choice::Propagator;

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
    assert_eq!(filter, "warn,users=debug");
    let (config, warning) = warned(&[level, ("RUST_LOG", "users=chatty")]);
    assert!(
        config.log_filter.starts_with("error"),
        "{}",
        config.log_filter
    );
    assert_eq!(warning.used, "LOG_LEVEL, error");
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

#[test]
fn otel_exporter_otlp_endpoint_and_protocol() {
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:9/base/");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let endpoint = |variables: Variables<'_>| otlp(&quiet(variables).traces).endpoint.clone();
    assert_eq!(endpoint(&[general]), "http://collector:9/base/");
    assert_eq!(endpoint(&[http]), "http://localhost:4318/v1/traces");
    assert_eq!(
        endpoint(&[general, http]),
        "http://collector:9/base/v1/traces"
    );
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://[::1]:7/in");
    assert_eq!(endpoint(&[general, http, own]), "https://[::1]:7/in");
    let grpc = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc");
    assert_eq!(otlp(&quiet(&[http, grpc]).traces).protocol, Protocol::Grpc);
    for wrong in [
        "localhost:4317",
        "http://",
        "ftp://a",
        "http://a b",
        "http://a:port",
        "http://:1",
    ] {
        let (config, warning) = warned(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]);
        assert_eq!(otlp(&config.traces).endpoint, "http://localhost:4317");
        assert_eq!(warning.used, "http://localhost:4317");
    }
    assert_eq!(
        warned(&[general, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x")])
            .1
            .used,
        general.1
    );
    assert_eq!(
        warned(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")])
            .1
            .used,
        "grpc"
    );
}

#[test]
fn otel_exporter_otlp_timeout_compression_and_certificate() {
    let config = quiet(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
    ]);
    let traces = otlp(&config.traces);
    assert_eq!(traces.timeout, Duration::from_millis(250));
    assert!(traces.gzip);
    assert_eq!(traces.certificate.as_deref(), Some("/ca.pem".as_ref()));
    let common = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
    let config = quiet(&[common, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "7")]);
    assert_eq!(otlp(&config.traces).timeout, Duration::from_millis(7));
    for wrong in ["0", "-1", "10s"] {
        let (config, warning) = warned(&[("OTEL_EXPORTER_OTLP_TIMEOUT", wrong)]);
        assert_eq!(otlp(&config.traces).timeout, Duration::from_secs(10));
        assert_eq!(warning.used, "10000");
    }
    let common = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none");
    assert!(!otlp(&quiet(&[common, own]).traces).gzip);
    assert_eq!(
        warned(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "br")]).1.used,
        "none"
    );
}

#[test]
fn otel_exporter_otlp_headers_are_merged_and_never_shown() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let list = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Authorization=Bearer%20s3cret,x-team=a",
    );
    let headers = &otlp(&quiet(&[list]).traces).headers.clone();
    let expected = [pair("authorization", "Bearer s3cret"), pair("x-team", "a")];
    assert_eq!(*headers, expected);
    let settings = Settings {
        headers: vec![pair("X-Team", "b")],
        ..Settings::default()
    };
    let (config, _) = resolve(&settings, &[list]).unwrap();
    assert_eq!(
        otlp(&config.traces).headers,
        [pair("authorization", "Bearer s3cret"), pair("x-team", "b")]
    );
    let bad = ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret,x-team=a");
    let (config, warnings) = resolve(&Settings::default(), &[bad]).unwrap();
    assert_eq!(otlp(&config.traces).headers, [pair("x-team", "a")]);
    assert!(
        !warnings[0].to_string().contains("s3cret"),
        "{}",
        warnings[0]
    );
}

#[test]
fn otel_bsp_and_the_metric_interval() {
    let config = quiet(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "7"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "8"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "9"),
    ]);
    assert_eq!(
        (config.batch.queue_size, config.batch.batch_size),
        (100, 100)
    );
    assert_eq!(config.batch.schedule_delay, Duration::from_millis(7));
    assert_eq!(config.batch.export_timeout, Duration::from_millis(8));
    assert_eq!(config.metric_interval, Duration::from_millis(9));
    for (name, used) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60000"),
    ] {
        for wrong in ["0", "many", "-1"] {
            assert_eq!(warned(&[(name, wrong)]).1.used, used, "{name}");
        }
    }
    let batch = ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096");
    assert_eq!(warned(&[batch]).1.used, "512");
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
