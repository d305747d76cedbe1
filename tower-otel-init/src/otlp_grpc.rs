//! OTLP over gRPC, by tonic.

use opentelemetry_otlp::{Compression, WithTonicConfig};
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::{Request, Status};

use crate::otlp_config::OtlpConfig;

pub(crate) fn configure<B: WithTonicConfig>(mut builder: B, otlp: &OtlpConfig) -> B {
    if otlp.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    #[cfg(feature = "tls")]
    if otlp.endpoint.starts_with("https:") {
        use tonic::transport::{Certificate, ClientTlsConfig};
        let tls = match &otlp.certificate {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        builder = builder.with_tls_config(tls);
    }
    // The exporter also reads headers from the variables, and they would replace those set in code.
    let headers: Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)> = otlp
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
        .collect();
    builder.with_interceptor(move |mut request: Request<()>| {
        for (name, value) in &headers {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok::<_, Status>(request)
    })
}
