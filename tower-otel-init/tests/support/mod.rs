//! Shared code of the tests with TLS.

use std::path::{Path, PathBuf};

use collector::Collector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A collector on `localhost` with a private certificate authority, whose certificate is in a file.
pub(crate) struct PrivateCollector {
    pub(crate) collector: Collector,
    certificate: PathBuf,
}

impl PrivateCollector {
    pub(crate) fn start(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let identity = params.signed_by(&key, &authority).unwrap();
        let file = format!("tower-otel-init-{name}-{}.pem", std::process::id());
        let certificate = std::env::temp_dir().join(file);
        std::fs::write(&certificate, authority.pem()).unwrap();
        Self {
            collector: Collector::tls(&identity.pem(), &key.serialize_pem()),
            certificate,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.collector.address.port())
    }

    /// The value of `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }
}

impl Drop for PrivateCollector {
    fn drop(&mut self) {
        // If it fails, the file remains in the folder for temporary files.
        let _ = std::fs::remove_file(&self.certificate);
    }
}
