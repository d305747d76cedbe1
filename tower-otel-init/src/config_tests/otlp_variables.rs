//! `OTEL_EXPORTER_OTLP_*`, for all signals and for one.

use super::*;

#[test]
fn otel_exporter_otlp_endpoint_and_protocol() {
    let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:9/base/");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let endpoint =
        |variables: Variables<'_>| otlp(&without_warnings(variables).traces).endpoint.clone();
    assert_eq!(endpoint(&[common]), "http://collector:9/base/");
    assert_eq!(endpoint(&[http]), "http://localhost:4318/v1/traces");
    assert_eq!(
        endpoint(&[common, http]),
        "http://collector:9/base/v1/traces"
    );
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://[::1]:7/in");
    assert_eq!(endpoint(&[common, http, own]), "https://[::1]:7/in");
    let grpc = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc");
    assert_eq!(
        otlp(&without_warnings(&[http, grpc]).traces).protocol,
        Protocol::Grpc
    );
    for invalid in [
        "localhost:4317",
        "http://",
        "ftp://a",
        "http://a b",
        "http://a:port",
        "http://:1",
    ] {
        let (config, warning) = with_warning(&[("OTEL_EXPORTER_OTLP_ENDPOINT", invalid)]);
        assert_eq!(otlp(&config.traces).endpoint, "http://localhost:4317");
        assert_eq!(warning.fallback, "http://localhost:4317");
    }
    assert_eq!(
        with_warning(&[common, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x")])
            .1
            .fallback,
        // The path may be a secret.
        "http://collector:9/REDACTED"
    );
    assert_eq!(
        with_warning(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")])
            .1
            .fallback,
        "grpc"
    );
}

#[test]
fn otel_exporter_otlp_timeout_and_compression() {
    let config = without_warnings(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    let traces = otlp(&config.traces);
    assert_eq!(traces.timeout, Duration::from_millis(250));
    assert!(traces.gzip);
    let common = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
    let config = without_warnings(&[common, ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "7")]);
    assert_eq!(otlp(&config.traces).timeout, Duration::from_millis(7));
    for invalid in ["0", "-1", "10s"] {
        let (config, warning) = with_warning(&[("OTEL_EXPORTER_OTLP_TIMEOUT", invalid)]);
        assert_eq!(otlp(&config.traces).timeout, Duration::from_secs(10));
        assert_eq!(warning.fallback, "10000");
    }
    let common = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none");
    assert!(!otlp(&without_warnings(&[common, own]).traces).gzip);
    assert_eq!(
        with_warning(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "br")])
            .1
            .fallback,
        "none"
    );
}

#[test]
fn otel_exporter_otlp_headers_are_merged_and_their_values_never_shown() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let list = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Authorization=Bearer%20s3cret,x-team=a",
    );
    let headers = &otlp(&without_warnings(&[list]).traces).headers.clone();
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

/// Returns one field of the configuration as text.
type Field = fn(&OtlpConfig) -> String;

/// Suffix, field, then: a valid common value, a valid value of one signal, an invalid value, the default.
const TABLE: [(&str, Field, [&str; 4]); 4] = [
    (
        "ENDPOINT",
        |otlp| otlp.endpoint.clone(),
        [
            "http://all:1",
            "http://own:2",
            "own:2",
            "http://localhost:4317",
        ],
    ),
    (
        "PROTOCOL",
        |otlp| otlp.protocol.as_str().to_owned(),
        ["http/protobuf", "grpc", "http/json", "grpc"],
    ),
    (
        "TIMEOUT",
        |otlp| otlp.timeout.as_millis().to_string(),
        ["250", "7", "7s", "10000"],
    ),
    (
        "COMPRESSION",
        |otlp| if otlp.gzip { "gzip" } else { "none" }.to_owned(),
        ["gzip", "none", "br", "none"],
    ),
];

const SIGNALS: [&str; 3] = ["TRACES", "METRICS", "LOGS"];

/// Returns the configuration of each signal with OTLP, in the order of [`SIGNALS`].
fn all_signals(variables: Variables<'_>) -> (Vec<OtlpConfig>, Vec<ConfigWarning>) {
    let mut all = vec![("OTEL_METRICS_EXPORTER", "otlp")];
    if cfg!(feature = "logs") {
        all.push(("OTEL_LOGS_EXPORTER", "otlp"));
    }
    all.extend(variables);
    let (config, warnings) = resolve(&Settings::default(), &all).unwrap();
    let metrics = config.metrics.otlp.clone().unwrap();
    let mut targets = vec![otlp(&config.traces).clone(), metrics];
    if cfg!(feature = "logs") {
        targets.push(otlp(&config.logs).clone());
    }
    (targets, warnings)
}

#[test]
fn the_variable_of_a_signal_takes_precedence_over_the_common_one() {
    for (suffix, field, [common, own, invalid, default]) in TABLE {
        let all = format!("OTEL_EXPORTER_OTLP_{suffix}");
        let values = |variables: Variables<'_>| {
            let (signals, warnings) = all_signals(variables);
            (signals.iter().map(field).collect::<Vec<_>>(), warnings)
        };
        let (found, warnings) = values(&[]);
        assert!(found.iter().all(|value| value == default), "{found:?}");
        assert_eq!(warnings, []);
        let (found, warnings) = values(&[(&all, common)]);
        assert!(
            found.iter().all(|value| value.starts_with(common)),
            "{found:?}"
        );
        assert_eq!(warnings, []);
        let (found, warnings) = values(&[(&all, invalid)]);
        assert!(found.iter().all(|value| value == default), "{found:?}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(
            (&*warnings[0].variable, &*warnings[0].value),
            (&*all, invalid)
        );

        for (signal, name) in SIGNALS.iter().enumerate().take(found.len()) {
            let name = format!("OTEL_EXPORTER_OTLP_{name}_{suffix}");
            let (found, warnings) = values(&[(&all, common), (&name, own)]);
            for (at, value) in found.iter().enumerate() {
                let expected = if at == signal { own } else { common };
                assert!(value.starts_with(expected), "{name}: {found:?}");
            }
            assert_eq!(warnings, []);
            let (found, warnings) = values(&[(&all, common), (&name, invalid)]);
            assert!(found[signal].starts_with(common), "{name}: {found:?}");
            let [warning] = &warnings[..] else {
                panic!("{warnings:?}");
            };
            assert_eq!((&*warning.variable, &*warning.value), (&*name, invalid));
            assert!(warning.fallback.starts_with(common), "{warning}");
        }
    }
}

#[test]
fn each_signal_has_its_own_headers() {
    let all = ("OTEL_EXPORTER_OTLP_HEADERS", "a=1");
    for (signal, name) in SIGNALS.iter().enumerate().take(all_signals(&[]).0.len()) {
        let name = format!("OTEL_EXPORTER_OTLP_{name}_HEADERS");
        let (found, warnings) = all_signals(&[all, (&name, "b=2")]);
        assert_eq!(warnings, []);
        for (at, otlp) in found.iter().enumerate() {
            let (key, value) = if at == signal { ("b", "2") } else { ("a", "1") };
            assert_eq!(otlp.headers, [(key.to_owned(), value.to_owned())], "{name}");
        }
        let (found, warnings) = all_signals(&[(&name, "s3cret,b=2")]);
        assert_eq!(found[signal].headers, [("b".to_owned(), "2".to_owned())]);
        assert_eq!((warnings.len(), &*warnings[0].variable), (1, &*name));
        assert!(!warnings[0].to_string().contains("s3cret"), "{name}");
    }
}

#[test]
fn warnings_about_endpoints_show_no_credentials() {
    let common = (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://me:s3cret@collector:4317",
    );
    let own = (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "http://me:s3cret@collector:x",
    );
    let (config, warnings) = resolve(&Settings::default(), &[common, own]).unwrap();
    assert_eq!(otlp(&config.traces).endpoint, "http://collector:4317");
    assert_eq!(
        warnings[0].to_string(),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: \"http://REDACTED@collector:x\" is not a URL \
         (expected http:// or https:// and a host); using http://REDACTED@collector:4317"
    );
}

#[test]
fn user_and_password_of_an_endpoint_do_not_replace_a_header() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:pw@collector:4317");
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20t");
    for (variables, expected) in [
        (&[endpoint][..], "Basic bWU6cHc="),
        (&[endpoint, headers], "Bearer t"),
    ] {
        let config = without_warnings(variables);
        let expected = [("authorization".to_owned(), expected.to_owned())];
        assert_eq!(otlp(&config.traces).headers, expected);
    }
}

#[test]
fn a_certificate_variable_must_name_a_pem_file() {
    let file = |name: &str, text: &str| {
        let name = format!("tower-otel-init-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let (valid, invalid) = (file("valid.pem", PEM), file("invalid.pem", "no"));
    let (valid_path, invalid_path) = (valid.to_str().unwrap(), invalid.to_str().unwrap());
    let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:1");
    let all = "OTEL_EXPORTER_OTLP_CERTIFICATE";

    let (found, warnings) = all_signals(&[https]);
    assert!(found.iter().all(|otlp| otlp.certificate.is_none()));
    assert_eq!(warnings, []);
    let (found, warnings) = all_signals(&[https, (all, valid_path)]);
    assert!(
        found
            .iter()
            .all(|otlp| otlp.certificate.as_deref() == Some(PEM.as_bytes()))
    );
    assert_eq!(warnings, []);
    for path in [invalid_path, "/not/there.pem"] {
        let (found, warnings) = all_signals(&[https, (all, path)]);
        assert!(found.iter().all(|otlp| otlp.certificate.is_none()));
        assert_eq!((warnings.len(), &*warnings[0].value), (1, path));
        assert_eq!(
            warnings[0].fallback,
            "the root certificates of the platform"
        );
        for (signal, name) in SIGNALS.iter().enumerate().take(found.len()) {
            let name = format!("OTEL_EXPORTER_OTLP_{name}_CERTIFICATE");
            let (found, warnings) = all_signals(&[https, (all, valid_path), (&name, path)]);
            assert!(found[signal].certificate.is_some(), "{name}");
            assert_eq!(
                (&*warnings[0].variable, &*warnings[0].fallback),
                (&*name, valid_path)
            );
        }
        // Without TLS the variable is not read.
        assert_eq!(all_signals(&[(all, path)]).1, []);
    }
    std::fs::remove_file(valid).unwrap();
    std::fs::remove_file(invalid).unwrap();
}
