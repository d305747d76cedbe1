//! OTLP exporters of metrics and log records over gRPC or HTTP.

use opentelemetry_otlp::{ExporterBuildError, MetricExporter, WithExportConfig};

use crate::disabled_subscriber::DisabledSubscriber;
use crate::endpoint::redact_urls;
use crate::error::InitError;
use crate::export_runtime::ExportRuntime;
#[cfg(any(feature = "grpc", feature = "http"))]
use crate::options::Protocol;
use crate::otlp_config::OtlpConfig;
#[cfg(feature = "grpc")]
use crate::otlp_grpc;
#[cfg(feature = "http")]
use crate::otlp_http;

/// Defines a function that builds the exporter of one signal. The builders have no common trait.
macro_rules! build_exporter {
    ($(#[$doc:meta])* $name:ident, $exporter:ident) => {
        $(#[$doc])*
        pub(crate) fn $name(
            otlp: &OtlpConfig,
            runtime: &ExportRuntime,
        ) -> Result<$exporter, InitError> {
            otlp.check_features()?;
            // The exporters log their endpoint with its credentials, so events are disabled.
            let _disabled = tracing::subscriber::set_default(DisabledSubscriber);
            // tonic's channel spawns a task. It connects at the first request.
            let _entered = runtime.handle().enter();
            match otlp.protocol {
                #[cfg(feature = "grpc")]
                Protocol::Grpc => {
                    let builder = otlp_grpc::configure($exporter::builder().with_tonic(), otlp);
                    common(builder, otlp).build().map_err(build_error)
                }
                #[cfg(feature = "http")]
                Protocol::HttpProtobuf => {
                    let builder = $exporter::builder().with_http();
                    let builder = otlp_http::configure(builder, otlp, runtime)?;
                    common(builder, otlp).build().map_err(build_error)
                }
                #[cfg(not(all(feature = "grpc", feature = "http")))]
                #[allow(unreachable_patterns)]
                _ => Err(otlp.missing_protocol()),
            }
        }
    };
}

build_exporter!(metric_exporter, MetricExporter);
#[cfg(feature = "logs")]
use opentelemetry_otlp::LogExporter;
#[cfg(feature = "logs")]
build_exporter!(log_exporter, LogExporter);

#[allow(dead_code, reason = "without a protocol there is no builder")]
fn common<B: WithExportConfig>(builder: B, otlp: &OtlpConfig) -> B {
    builder
        .with_endpoint(&otlp.endpoint)
        .with_timeout(otlp.timeout)
}

#[allow(dead_code, reason = "without a protocol there is no builder")]
fn build_error(error: ExporterBuildError) -> InitError {
    InitError::Exporter(redact_urls(&error.to_string()).into())
}
