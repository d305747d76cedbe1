//! Certificates for `https://` endpoints.

use std::io;

use crate::otlp::{config::TlsOptions, invalid::invalid};

impl TlsOptions {
    #[cfg(feature = "grpc")]
    pub(crate) fn grpc(
        &self,
        endpoint: tonic::transport::Endpoint,
    ) -> io::Result<tonic::transport::Endpoint> {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};

        let mut config = ClientTlsConfig::new();
        config = match &self.ca_certificate {
            Some(pem) => config.ca_certificate(Certificate::from_pem(check_certificate(pem)?)),
            None => config.with_native_roots(),
        };
        if let Some((pem, key)) = &self.client_certificate {
            check_certificate(pem)?;
            config = config.identity(Identity::from_pem(pem, check_key(key)?));
        }
        let with_config = endpoint.clone().tls_config(config);
        with_config.map_err(|_| {
            let system = ClientTlsConfig::new().with_native_roots();
            match &self.ca_certificate {
                None if endpoint.tls_config(system).is_err() => no_certificates(),
                _ => refused(),
            }
        })
    }

    #[cfg(feature = "http")]
    pub(crate) fn http(
        &self,
        builder: reqwest::ClientBuilder,
    ) -> io::Result<reqwest::ClientBuilder> {
        use reqwest::{Certificate, Identity};

        let mut builder = builder;
        if let Some(pem) = &self.ca_certificate {
            let roots = Certificate::from_pem_bundle(check_certificate(pem)?);
            builder = builder.tls_certs_only(roots.map_err(|_| refused())?);
        }
        if let Some((pem, key)) = &self.client_certificate {
            let both = [check_key(key)?, b"\n", check_certificate(pem)?].concat();
            let identity = Identity::from_pem(&both).map_err(|_| refused())?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

fn check_certificate(pem: &[u8]) -> io::Result<&[u8]> {
    let error = "a certificate is invalid (expected PEM with BEGIN CERTIFICATE)";
    contains(pem, b"-----BEGIN CERTIFICATE-----", error)
}

fn check_key(pem: &[u8]) -> io::Result<&[u8]> {
    let error = "the key of the client is invalid (expected PEM with BEGIN PRIVATE KEY)";
    contains(pem, b"PRIVATE KEY-----", error)
}

fn contains<'a>(pem: &'a [u8], part: &[u8], error: &str) -> io::Result<&'a [u8]> {
    if pem.windows(part.len()).any(|window| window == part) {
        Ok(pem)
    } else {
        Err(invalid(error))
    }
}

/// Returns the error of a system without CA certificates, such as a container without the package `ca-certificates`.
#[cfg(feature = "grpc")]
fn no_certificates() -> io::Error {
    invalid(
        "the system has no CA certificates to verify an https:// endpoint with (expected the package ca-certificates, \
         the variable SSL_CERT_FILE, or a CA certificate in the configuration)",
    )
}

/// Returns the error of invalid certificates. The text of the TLS library is omitted, because it may quote its input.
fn refused() -> io::Error {
    invalid(
        "the TLS library refuses a certificate or the key (expected PEM, and a key that belongs to the certificate)",
    )
}
