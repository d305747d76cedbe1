//! A collector with TLS and a private certificate authority (`OTEL_EXPORTER_OTLP_CERTIFICATE`).
#![cfg(all(unix, feature = "grpc", feature = "http", feature = "tls"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use opentelemetry::trace::{Span, Tracer, TracerProvider};
use support::PrivateCollector;
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry};
use tracing_subscriber::Registry;

/// Exports one span, configured by the variables. The test below runs it in a separate process.
#[test]
#[ignore = "runs in a process started by the other test"]
fn job() {
    if std::env::var_os("JOB").is_none() {
        return;
    }
    let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder("job")
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .local()
        .unwrap();
    let provider = telemetry.tracer_provider().unwrap();
    provider.tracer("").start("job").end();
    telemetry.shutdown(Duration::from_secs(30)).unwrap();
}

fn run(server: &PrivateCollector, protocol: &str, authority: Option<&Path>) -> bool {
    let mut job = Command::new(std::env::current_exe().unwrap());
    job.args(["job", "--exact", "--ignored", "-q"])
        .env("JOB", "1")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint());
    if let Some(path) = authority {
        job.env("OTEL_EXPORTER_OTLP_CERTIFICATE", path);
    }
    job.output().unwrap().status.success()
}

#[test]
fn a_collector_is_trusted_only_with_its_certificate_authority() {
    let server = PrivateCollector::start("tls");
    let collector = &server.collector;
    for protocol in ["grpc", "http/protobuf"] {
        let before = collector.spans();
        let authority = Some(server.certificate());
        assert!(run(&server, protocol, authority), "{protocol}");
        assert_eq!(collector.spans(), before + 1, "{protocol}");
        // The platform's roots do not contain the authority of this test.
        assert!(!run(&server, protocol, None), "{protocol}");
        assert_eq!(collector.spans(), before + 1, "{protocol}");
    }
}
