//! Exporters for a collector, by either protocol.

use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};

use crate::InitError;
use crate::export_runtime::Exports;
use crate::options::Protocol;
use crate::otlp_config::Otlp;

macro_rules! exporter {
    ($(#[$about:meta])* $name:ident, $exporter:ident) => {
        $(#[$about])*
        pub(crate) fn $name(otlp: &Otlp, exports: &Exports) -> Result<$exporter, InitError> {
            #[cfg(not(feature = "tls"))]
            if otlp.endpoint.starts_with("https:") {
                return Err(InitError::Feature {
                    wanted: format!("the collector at {}", otlp.endpoint),
                    feature: "tls",
                });
            }
            // tonic's channel starts a task, and connects when it is first needed.
            let _runtime = exports.handle().enter();
            match otlp.protocol {
                #[cfg(feature = "grpc")]
                Protocol::Grpc => {
                    let builder = grpc::configure($exporter::builder().with_tonic(), otlp)?;
                    addressed(builder, otlp).build().map_err(failed)
                }
                #[cfg(feature = "http")]
                Protocol::HttpProtobuf => {
                    let builder = $exporter::builder().with_http();
                    let builder = http::configure(builder, otlp, exports)?;
                    addressed(builder, otlp).build().map_err(failed)
                }
                #[cfg(not(all(feature = "grpc", feature = "http")))]
                #[allow(unreachable_patterns)]
                protocol => Err(InitError::Feature {
                    wanted: format!("the protocol {protocol}"),
                    feature: match protocol {
                        Protocol::Grpc => "grpc",
                        Protocol::HttpProtobuf => "http",
                    },
                }),
            }
        }
    };
}

exporter!(spans, SpanExporter);
exporter!(metrics, MetricExporter);
#[cfg(feature = "logs")]
use opentelemetry_otlp::LogExporter;
#[cfg(feature = "logs")]
exporter!(logs, LogExporter);

#[allow(dead_code)]
fn addressed<B: WithExportConfig>(builder: B, otlp: &Otlp) -> B {
    builder
        .with_endpoint(&otlp.endpoint)
        .with_timeout(otlp.timeout)
}

#[allow(dead_code)]
fn failed(error: ExporterBuildError) -> InitError {
    InitError::Exporter(error.into())
}

#[cfg(feature = "grpc")]
mod grpc {
    use opentelemetry_otlp::{Compression, WithTonicConfig};
    use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
    use tonic::{Request, Status};

    use super::{InitError, Otlp};

    pub(super) fn configure<B: WithTonicConfig>(
        mut builder: B,
        otlp: &Otlp,
    ) -> Result<B, InitError> {
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
        // The exporter has read those of the environment by itself, and lets them win.
        let headers: Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)> = otlp
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
            .collect();
        Ok(builder.with_interceptor(move |mut request: Request<()>| {
            for (name, value) in &headers {
                request.metadata_mut().insert(name.clone(), value.clone());
            }
            Ok::<_, Status>(request)
        }))
    }
}

#[cfg(feature = "http")]
mod http {
    use std::future::Future;
    use std::pin::Pin;

    use http::{HeaderName, HeaderValue, Request, Response};
    use opentelemetry_http::{Bytes, HttpClient, HttpError};
    use opentelemetry_otlp::{Compression, Protocol, WithExportConfig, WithHttpConfig};
    use tokio::runtime::Handle;

    use super::{Exports, InitError, Otlp};

    pub(super) fn configure<B: WithExportConfig + WithHttpConfig>(
        builder: B,
        otlp: &Otlp,
        exports: &Exports,
    ) -> Result<B, InitError> {
        let client = Client {
            inner: client(otlp)?,
            handle: exports.handle().clone(),
            headers: otlp
                .headers
                .iter()
                .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
                .collect(),
        };
        let mut builder = builder
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(client);
        if otlp.gzip {
            builder = builder.with_compression(Compression::Gzip);
        }
        Ok(builder)
    }

    fn client(otlp: &Otlp) -> Result<reqwest::Client, InitError> {
        let builder = reqwest::Client::builder()
            .timeout(otlp.timeout)
            .redirect(reqwest::redirect::Policy::none());
        #[cfg(feature = "tls")]
        let builder = match &otlp.certificate {
            Some(pem) => {
                let roots = reqwest::Certificate::from_pem_bundle(pem)
                    .map_err(|error| InitError::Exporter(error.into()))?;
                builder.tls_certs_only(roots)
            }
            None => builder,
        };
        builder
            .build()
            .map_err(|error| InitError::Exporter(error.into()))
    }

    /// reqwest wants to be on a runtime, and the SDK exports on a thread without one.
    #[derive(Debug)]
    struct Client {
        inner: reqwest::Client,
        handle: Handle,
        headers: Vec<(HeaderName, HeaderValue)>,
    }

    type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

    impl HttpClient for Client {
        fn send_bytes<'a, 'async_trait>(&'a self, mut request: Request<Bytes>) -> Sent<'async_trait>
        where
            'a: 'async_trait,
            Self: 'async_trait,
        {
            for (name, value) in &self.headers {
                request.headers_mut().insert(name.clone(), value.clone());
            }
            let client = self.inner.clone();
            let sent = self
                .handle
                .spawn(async move { client.send_bytes(request).await });
            Box::pin(async move { sent.await? })
        }
    }
}
