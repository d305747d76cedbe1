//! `OTEL_EXPORTER_OTLP_*`, for all signals and for each.

use super::*;

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
fn otel_exporter_otlp_timeout_and_compression() {
    let config = quiet(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    let traces = otlp(&config.traces);
    assert_eq!(traces.timeout, Duration::from_millis(250));
    assert!(traces.gzip);
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

/// What one variable has come to, of one signal.
type Shown = fn(&Otlp) -> String;

/// Right for all, right for one signal, wrong, and the default, each as it is shown.
const TABLE: [(&str, Shown, [&str; 4]); 4] = [
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
        |otlp| otlp.protocol.to_string(),
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

/// All signals that can be sent, in the order of their names above.
fn sent(variables: Variables<'_>) -> (Vec<Otlp>, Vec<Warning>) {
    let mut all = vec![("OTEL_METRICS_EXPORTER", "otlp")];
    if cfg!(feature = "logs") {
        all.push(("OTEL_LOGS_EXPORTER", "otlp"));
    }
    all.extend(variables);
    let (config, warnings) = resolve(&Settings::default(), &all).unwrap();
    let mut targets = vec![&config.traces, &config.metrics];
    if cfg!(feature = "logs") {
        targets.push(&config.logs);
    }
    (targets.into_iter().map(otlp).cloned().collect(), warnings)
}

#[test]
fn each_signal_has_its_own_word_for_each_variable() {
    for (what, shown, [general, own, wrong, default]) in TABLE {
        let all = format!("OTEL_EXPORTER_OTLP_{what}");
        let values = |variables: Variables<'_>| {
            let (signals, warnings) = sent(variables);
            (signals.iter().map(shown).collect::<Vec<_>>(), warnings)
        };
        let (found, warnings) = values(&[]);
        assert!(found.iter().all(|value| value == default), "{found:?}");
        assert_eq!(warnings, []);
        let (found, warnings) = values(&[(&all, general)]);
        assert!(
            found.iter().all(|value| value.starts_with(general)),
            "{found:?}"
        );
        assert_eq!(warnings, []);
        let (found, warnings) = values(&[(&all, wrong)]);
        assert!(found.iter().all(|value| value == default), "{found:?}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(
            (&*warnings[0].variable, &*warnings[0].value),
            (&*all, wrong)
        );

        for (signal, name) in SIGNALS.iter().enumerate().take(found.len()) {
            let name = format!("OTEL_EXPORTER_OTLP_{name}_{what}");
            let (found, warnings) = values(&[(&all, general), (&name, own)]);
            for (at, value) in found.iter().enumerate() {
                let wanted = if at == signal { own } else { general };
                assert!(value.starts_with(wanted), "{name}: {found:?}");
            }
            assert_eq!(warnings, []);
            let (found, warnings) = values(&[(&all, general), (&name, wrong)]);
            assert!(found[signal].starts_with(general), "{name}: {found:?}");
            let [warning] = &warnings[..] else {
                panic!("{warnings:?}");
            };
            assert_eq!((&*warning.variable, &*warning.value), (&*name, wrong));
            assert!(warning.used.starts_with(general), "{warning}");
        }
    }
}

#[test]
fn each_signal_has_its_own_headers() {
    let all = ("OTEL_EXPORTER_OTLP_HEADERS", "a=1");
    for (signal, name) in SIGNALS.iter().enumerate().take(sent(&[]).0.len()) {
        let name = format!("OTEL_EXPORTER_OTLP_{name}_HEADERS");
        let (found, warnings) = sent(&[all, (&name, "b=2")]);
        assert_eq!(warnings, []);
        for (at, otlp) in found.iter().enumerate() {
            let (key, value) = if at == signal { ("b", "2") } else { ("a", "1") };
            assert_eq!(otlp.headers, [(key.to_owned(), value.to_owned())], "{name}");
        }
        let (found, warnings) = sent(&[(&name, "s3cret,b=2")]);
        assert_eq!(found[signal].headers, [("b".to_owned(), "2".to_owned())]);
        assert_eq!((warnings.len(), &*warnings[0].variable), (1, &*name));
    }
}

#[test]
fn a_certificate_is_a_file_that_holds_one_or_it_is_warned_about() {
    let file = |name: &str, text: &str| {
        let name = format!("tower-otel-init-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let (right, wrong) = (file("right.pem", PEM), file("wrong.pem", "no"));
    let (right_path, wrong_path) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:1");
    let all = "OTEL_EXPORTER_OTLP_CERTIFICATE";

    let (found, warnings) = sent(&[https]);
    assert!(found.iter().all(|otlp| otlp.certificate.is_none()));
    assert_eq!(warnings, []);
    let (found, warnings) = sent(&[https, (all, right_path)]);
    assert!(
        found
            .iter()
            .all(|otlp| otlp.certificate.as_deref() == Some(PEM.as_bytes()))
    );
    assert_eq!(warnings, []);
    for bad in [wrong_path, "/not/there.pem"] {
        let (found, warnings) = sent(&[https, (all, bad)]);
        assert!(found.iter().all(|otlp| otlp.certificate.is_none()));
        assert_eq!((warnings.len(), &*warnings[0].value), (1, bad));
        assert_eq!(warnings[0].used, "the platform's roots");
        for (signal, name) in SIGNALS.iter().enumerate().take(found.len()) {
            let name = format!("OTEL_EXPORTER_OTLP_{name}_CERTIFICATE");
            let (found, warnings) = sent(&[https, (all, right_path), (&name, bad)]);
            assert!(found[signal].certificate.is_some(), "{name}");
            assert_eq!(
                (&*warnings[0].variable, &*warnings[0].used),
                (&*name, right_path)
            );
        }
        // Without TLS nobody reads it.
        assert_eq!(sent(&[(all, bad)]).1, []);
    }
    std::fs::remove_file(right).unwrap();
    std::fs::remove_file(wrong).unwrap();
}
