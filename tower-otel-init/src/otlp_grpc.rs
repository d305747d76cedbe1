//! OTLP over gRPC, by tonic.

use opentelemetry_otlp::{Compression, WithTonicConfig};
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
#[cfg(feature = "tls")]
use tonic::transport::{Certificate, ClientTlsConfig};
use tonic::{Request, Status};

use crate::otlp_config::OtlpConfig;

/// The headers of all requests.
pub(crate) type Headers = Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>;

pub(crate) fn configure<B: WithTonicConfig>(mut builder: B, otlp: &OtlpConfig) -> B {
    if otlp.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = tls(otlp) {
        builder = builder.with_tls_config(tls);
    }
    // The exporter also reads headers from the variables, which would replace the headers set in code.
    let headers = headers(otlp);
    builder.with_interceptor(move |request: Request<()>| {
        Ok::<_, Status>(with_headers(request, &headers))
    })
}

/// Returns a channel that connects at the first request. Call it in a tokio runtime.
#[cfg(feature = "prometheus")]
pub(crate) fn channel(
    otlp: &OtlpConfig,
) -> Result<tonic::transport::Channel, crate::error::InitError> {
    use crate::endpoint::redact_urls;
    use crate::error::InitError;

    let invalid = |error: tonic::transport::Error| {
        InitError::Exporter(redact_urls(&error.to_string()).into())
    };
    let endpoint = tonic::transport::Endpoint::from_shared(otlp.endpoint.clone());
    let endpoint = endpoint.map_err(invalid)?.connect_timeout(otlp.timeout);
    #[cfg(feature = "tls")]
    let endpoint = match tls(otlp) {
        Some(tls) => endpoint.tls_config(tls).map_err(invalid)?,
        None => endpoint,
    };
    Ok(endpoint.connect_lazy())
}

pub(crate) fn headers(otlp: &OtlpConfig) -> Headers {
    let headers = otlp.headers.iter();
    headers
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
        .collect()
}

pub(crate) fn with_headers<T>(mut request: Request<T>, headers: &Headers) -> Request<T> {
    for (name, value) in headers {
        request.metadata_mut().insert(name.clone(), value.clone());
    }
    request
}

#[cfg(feature = "tls")]
fn tls(otlp: &OtlpConfig) -> Option<ClientTlsConfig> {
    let is_https = otlp.endpoint.starts_with("https:");
    is_https.then(|| match &otlp.certificate {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    })
}
