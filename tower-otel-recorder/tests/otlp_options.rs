//! The options of the OTLP exporter: what is refused, what is shown, and what is logged.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
};

use collector::faulty::{FaultyCollector, Reply};
use tower_otel_recorder::{OtlpExporter, Recorder};
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::support::{LONG, build, event_text, record};

fn error(exporter: OtlpExporter) -> String {
    let error = Recorder::builder(exporter).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("expected"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    text
}

#[test]
fn an_invalid_endpoint_is_an_error_without_credentials() {
    for endpoint in [
        "",
        "localhost:4317",
        "http://",
        "http://:4317",
        "http://host:port",
        "http://host:99999",
        "ftp://host",
        "http://a b",
        "http://me:s3cret@host:port",
        "http://host:x/?token=s3cret",
        "http://[::1",
    ] {
        for exporter in [OtlpExporter::grpc(endpoint), OtlpExporter::http(endpoint)] {
            let text = error(exporter);
            assert!(text.contains("is not a URL"), "{endpoint}: {text}");
        }
    }
}

#[test]
fn an_endpoint_that_is_an_api_key_is_not_shown() {
    for (endpoint, shown) in [
        ("s3cret-4pi-key", "a text of 14 characters"),
        ("http://host:4318x/s3cret", "endpoint http://host is"),
        ("ftp://host:21/s3cret", "ftp://host:21"),
    ] {
        for exporter in [OtlpExporter::grpc(endpoint), OtlpExporter::http(endpoint)] {
            let text = error(exporter);
            assert!(text.contains(shown), "{text}");
        }
    }
}

#[test]
fn an_address_that_is_out_of_range_is_an_error() {
    let text = error(OtlpExporter::http("http://10.0.0.256:4318"));
    assert!(text.contains("OTLP exporter: "), "{text}");
    assert!(text.ends_with("no recorder is started"), "{text}");
}

#[test]
fn a_timeout_of_zero_is_an_error() {
    for exporter in [
        OtlpExporter::grpc("http://host"),
        OtlpExporter::http("http://host"),
    ] {
        let text = error(exporter.timeout(std::time::Duration::ZERO));
        assert!(text.contains("timeout"), "{text}");
    }
}

#[test]
fn valid_endpoints_are_accepted() {
    for endpoint in [
        "http://localhost:4317",
        "http://localhost",
        "http://[::1]:4318/v1/traces",
        "http://[::1]/v1/traces?token=x",
        "http://me:s3cret@host",
    ] {
        for exporter in [OtlpExporter::grpc(endpoint), OtlpExporter::http(endpoint)] {
            assert!(Recorder::builder(exporter).build().is_ok(), "{endpoint}");
        }
    }
}

#[test]
fn an_invalid_header_is_an_error_without_its_value() {
    for (name, value, part) in [
        ("", "s3cret", "header 1"),
        ("Bearer s3cret", "x", "header 1"),
        ("trace-bin", "s3cret", "header 1"),
        ("authorization", "s3cret\r\nx: y", "authorization"),
        ("authorization", "s3cr\u{e9}t s3cret", "authorization"),
    ] {
        for exporter in [
            OtlpExporter::grpc("http://host"),
            OtlpExporter::http("http://host"),
        ] {
            let text = error(exporter.header(name, value));
            assert!(text.contains(part), "{text}");
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn an_invalid_certificate_is_an_error_without_the_key() {
    let broken = "-----BEGIN CERTIFICATE-----\ns3cret\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n";
    for exporter in [
        || OtlpExporter::grpc("https://host"),
        || OtlpExporter::http("https://host"),
    ] {
        error(exporter().ca_certificate("s3cret"));
        error(exporter().client_certificate("s3cret", key));
        error(exporter().client_certificate(broken, "s3cret"));
        error(exporter().client_certificate(broken, key));
        // It has no effect without TLS.
        assert!(
            Recorder::builder(OtlpExporter::grpc("http://host").ca_certificate(""))
                .build()
                .is_ok()
        );
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn an_https_endpoint_needs_a_feature() {
    for exporter in [
        OtlpExporter::grpc("https://host"),
        OtlpExporter::http("https://host"),
    ] {
        let error = Recorder::builder(exporter).build().unwrap_err().to_string();
        assert!(error.contains("feature `tls`"), "{error}");
    }
}

#[test]
fn the_debug_text_has_no_credentials() {
    let exporter = OtlpExporter::grpc("http://me:s3cret@host")
        .header("authorization", "s3cret")
        .ca_certificate("s3cret")
        .client_certificate("s3cret", "s3cret")
        .gzip(true);
    let text = format!("{exporter:?}");
    assert!(text.contains("gzip: true"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let text = format!("{:?}", Recorder::builder(exporter));
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_recorder_is_built_and_dropped_inside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let collector = FaultyCollector::start(|_| Reply::Accept);
        let endpoint = format!("http://{}", collector.address);
        let recorder = build(Recorder::builder(OtlpExporter::grpc(endpoint)));
        record(&recorder, 3);
        drop(recorder);
        assert_eq!(collector.seen().accepted, 3);
        let agent = collector.headers()["user-agent"].clone();
        assert!(agent.as_bytes().starts_with(b"OTel-OTLP-Exporter-Rust/"));
        error(OtlpExporter::grpc("no URL"));
    });
}

/// Stores the texts of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            self.0.lock().unwrap().push(event_text(event));
        }
    }
}

#[test]
fn each_change_of_the_collector_is_logged_once() {
    let replies = [
        (Reply::Accept, None),
        (
            Reply::Reject(1, "http://me:s3cret@host is full".to_owned()),
            Some("http://host is full"),
        ),
        (Reply::Reject(1, "again".to_owned()), None),
        (Reply::Error(3, 400, None), Some("cannot export spans")),
        (Reply::Error(3, 400, None), None),
        (Reply::Accept, Some("exports spans again")),
        (Reply::Accept, None),
        (
            Reply::Reject(1, "full".to_owned()),
            Some("rejected spans of a batch: full"),
        ),
        (Reply::Accept, Some("accepts all spans again")),
    ];
    let script = replies.clone();
    let collector = FaultyCollector::start(move |request| script[request].0.clone());
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    // The only test of this file with a subscriber, because the export thread logs to the global one.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let url = format!("http://{}/v1/traces", collector.address);
    let port = collector.address.port().to_string();
    let recorder = build(Recorder::builder(OtlpExporter::http(url)));
    for (_, expected) in replies {
        record(&recorder, 2);
        let _ = recorder.flush(LONG);
        let logged = std::mem::take(&mut *warnings.0.lock().unwrap());
        // Other tests fail at the same time, at other ports.
        let logged: Vec<_> = logged
            .iter()
            .filter(|text| !text.contains("http://127") || text.contains(&port))
            .collect();
        match (&logged[..], expected) {
            ([], None) => {}
            ([text], Some(part)) => assert!(text.contains(part), "{text}"),
            _ => panic!("expected {expected:?}: {logged:?}"),
        }
        assert!(
            logged.iter().all(|text| !text.contains("s3cret")),
            "{logged:?}"
        );
    }
    let counts = recorder.counts();
    assert_eq!(
        (counts.exported, counts.rejected, counts.failed),
        (11, 3, 4)
    );
}
