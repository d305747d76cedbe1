//! Sends the metrics of the facade to a collector by OTLP, over gRPC or HTTP.
//!
//! `opentelemetry-otlp` is not used, because its exporter accepts only metrics that its SDK has aggregated.

#[cfg(feature = "grpc")]
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
#[cfg(feature = "grpc")]
use tonic::transport::Channel;

use crate::error::InitError;
use crate::export_runtime::ExportRuntime;
#[cfg(any(feature = "grpc", feature = "http"))]
use crate::options::Protocol;
use crate::otlp_config::OtlpConfig;
#[cfg(feature = "grpc")]
use crate::otlp_grpc;
#[cfg(feature = "http")]
use crate::otlp_http_metrics::MetricsEndpoint;

/// A connection to a collector. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum MetricSender {
    #[cfg(feature = "grpc")]
    Grpc {
        client: MetricsServiceClient<Channel>,
        headers: otlp_grpc::Headers,
    },
    #[cfg(feature = "http")]
    Http(MetricsEndpoint),
}

impl MetricSender {
    /// Returns a sender, which connects at the first request.
    pub(crate) fn new(otlp: &OtlpConfig, runtime: &ExportRuntime) -> Result<Self, InitError> {
        otlp.check_features()?;
        // tonic's channel spawns a task.
        let _entered = runtime.handle().enter();
        match otlp.protocol {
            #[cfg(feature = "grpc")]
            Protocol::Grpc => {
                let client = MetricsServiceClient::new(otlp_grpc::channel(otlp)?);
                let gzip = tonic::codec::CompressionEncoding::Gzip;
                let client = match otlp.gzip {
                    true => client.send_compressed(gzip).accept_compressed(gzip),
                    false => client,
                };
                let headers = otlp_grpc::headers(otlp);
                Ok(Self::Grpc { client, headers })
            }
            #[cfg(feature = "http")]
            Protocol::HttpProtobuf => MetricsEndpoint::new(otlp).map(Self::Http),
            #[cfg(not(all(feature = "grpc", feature = "http")))]
            #[allow(unreachable_patterns)]
            _ => Err(otlp.missing_protocol()),
        }
    }

    /// Sends a request once. Call it on the export runtime.
    pub(crate) async fn send(
        self,
        request: ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, String> {
        match self {
            #[cfg(feature = "grpc")]
            Self::Grpc {
                mut client,
                headers,
            } => {
                let request = otlp_grpc::with_headers(tonic::Request::new(request), &headers);
                let response = client.export(request).await;
                let response = response
                    .map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
                Ok(response.into_inner())
            }
            #[cfg(feature = "http")]
            Self::Http(endpoint) => endpoint.send(request).await,
        }
    }
}
