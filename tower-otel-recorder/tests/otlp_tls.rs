//! Collectors with TLS: whom the exporter trusts, and certificates of the client.
#![cfg(all(feature = "grpc", feature = "http", feature = "tls"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use collector::Collector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tower_otel_recorder::{OtlpExporter, Recorder};

use crate::support::{LONG, build, record};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns a certificate and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn exporters(collector: &Collector) -> [OtlpExporter; 2] {
    let port = collector.address.port();
    [
        OtlpExporter::grpc(format!("https://localhost:{port}")),
        OtlpExporter::http(format!("https://localhost:{port}/v1/traces")),
    ]
    .map(|exporter| exporter.timeout(Duration::from_secs(2)))
}

/// Exports a span and returns whether it was accepted, or the error.
fn export(exporter: OtlpExporter) -> Result<(), String> {
    let recorder = build(Recorder::builder(exporter.gzip(true)));
    record(&recorder, 1);
    let result = recorder.flush(LONG).map_err(|error| error.to_string());
    let counts = recorder.counts();
    let expected = if result.is_ok() { (1, 0) } else { (0, 1) };
    assert_eq!((counts.exported, counts.failed), expected);
    result
}

#[test]
fn a_collector_is_trusted_only_with_its_authority() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("localhost");
    let collector = Collector::tls(&certificate, &key);
    for exporter in exporters(&collector) {
        export(exporter.ca_certificate(authority.0.pem())).unwrap();
    }
    for exporter in exporters(&collector) {
        export(exporter.ca_certificate(Authority::new().0.pem())).unwrap_err();
    }
    for exporter in exporters(&collector) {
        export(exporter).unwrap_err();
    }
    assert_eq!(collector.spans(), 2);
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("example.com");
    let collector = Collector::tls(&certificate, &key);
    for exporter in exporters(&collector) {
        let error = export(exporter.ca_certificate(authority.0.pem())).unwrap_err();
        assert!(error.contains("certificate"), "{error}");
    }
    assert_eq!(collector.spans(), 0);
}

#[test]
fn a_collector_can_ask_for_a_certificate_of_the_client() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("localhost");
    let collector = Collector::mutual_tls(&certificate, &key, &authority.0.pem());
    for exporter in exporters(&collector) {
        let (certificate, key) = authority.sign("client");
        let exporter = exporter.ca_certificate(authority.0.pem());
        export(exporter.client_certificate(certificate, key)).unwrap();
    }
    for exporter in exporters(&collector) {
        export(exporter.ca_certificate(authority.0.pem())).unwrap_err();
    }
    assert_eq!(collector.spans(), 2);
}
