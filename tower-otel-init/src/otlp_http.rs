//! OTLP over HTTP, by reqwest.

use std::future::Future;
use std::pin::Pin;

use http::{HeaderName, HeaderValue, Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Compression, Protocol, WithExportConfig, WithHttpConfig};
use tokio::runtime::Handle;

use crate::error::InitError;
use crate::export_runtime::ExportRuntime;
use crate::otlp_config::OtlpConfig;

pub(crate) fn configure<B: WithExportConfig + WithHttpConfig>(
    builder: B,
    otlp: &OtlpConfig,
    runtime: &ExportRuntime,
) -> Result<B, InitError> {
    let client = RuntimeClient {
        inner: reqwest_client(otlp)?,
        handle: runtime.handle().clone(),
        headers: headers(otlp).collect(),
    };
    let mut builder = builder
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(client);
    if otlp.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    Ok(builder)
}

pub(crate) fn headers(otlp: &OtlpConfig) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let headers = otlp.headers.iter();
    headers.filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
}

pub(crate) fn reqwest_client(otlp: &OtlpConfig) -> Result<reqwest::Client, InitError> {
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

/// A client that sends on the export runtime. reqwest requires a runtime, and the SDK exports on a thread
/// without one.
#[derive(Debug)]
struct RuntimeClient {
    inner: reqwest::Client,
    handle: Handle,
    headers: Vec<(HeaderName, HeaderValue)>,
}

type ResponseFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for RuntimeClient {
    fn send_bytes<'a, 'async_trait>(
        &'a self,
        mut request: Request<Bytes>,
    ) -> ResponseFuture<'async_trait>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let client = self.inner.clone();
        let response = self
            .handle
            .spawn(async move { client.send_bytes(request).await });
        Box::pin(async move { response.await? })
    }
}
