//! The OTLP exporter of spans.

use std::time::Duration;

use tower_otel_recorder::OtlpExporter;

use crate::error::InitError;
use crate::options::Protocol;
use crate::otlp_config::OtlpConfig;

/// Returns the exporter. The shorter one of `timeout` and the timeout of `otlp` applies to an export.
pub(crate) fn build(otlp: &OtlpConfig, timeout: Duration) -> Result<OtlpExporter, InitError> {
    otlp.check_features()?;
    let exporter = match otlp.protocol {
        #[cfg(feature = "grpc")]
        Protocol::Grpc => OtlpExporter::grpc(&otlp.endpoint),
        #[cfg(feature = "http")]
        Protocol::HttpProtobuf => OtlpExporter::http(&otlp.endpoint),
        #[cfg(not(all(feature = "grpc", feature = "http")))]
        #[allow(unreachable_patterns)]
        _ => return Err(otlp.missing_protocol()),
    };
    let exporter = exporter.gzip(otlp.gzip).timeout(otlp.timeout.min(timeout));
    let exporter = match &otlp.certificate {
        Some(pem) => exporter.ca_certificate(pem.clone()),
        None => exporter,
    };
    let headers = otlp.headers.iter();
    Ok(headers.fold(exporter, |exporter, (name, value)| {
        exporter.header(name, value)
    }))
}
