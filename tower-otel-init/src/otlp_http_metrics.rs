//! Posts the metrics of the facade over HTTP.

use std::error::Error;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;

use crate::error::InitError;
use crate::otlp_config::OtlpConfig;
use crate::otlp_http;

/// The maximum number of bytes that are read from a response.
const MAX_RESPONSE: usize = 64 * 1024;

/// A URL that metrics are posted to.
#[derive(Clone, Debug)]
pub(crate) struct MetricsEndpoint {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    gzip: bool,
}

impl MetricsEndpoint {
    pub(crate) fn new(otlp: &OtlpConfig) -> Result<Self, InitError> {
        let mut headers = HeaderMap::new();
        for (name, value) in otlp_http::headers(otlp) {
            headers.insert(name, value);
        }
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);
        if otlp.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            client: otlp_http::reqwest_client(otlp)?,
            url: otlp.endpoint.clone(),
            headers,
            gzip: otlp.gzip,
        })
    }

    pub(crate) async fn send(
        self,
        request: ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, String> {
        let body = request.encode_to_vec();
        let body = match self.gzip {
            true => compress(&body).map_err(|error| error.to_string())?,
            false => body,
        };
        let request = self.client.post(self.url).headers(self.headers).body(body);
        let mut response = request.send().await.map_err(with_causes)?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("HTTP status {status}"));
        }
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(with_causes)? {
            if content.len() + chunk.len() > MAX_RESPONSE {
                return Err(format!("the response is larger than {MAX_RESPONSE} bytes"));
            }
            content.extend_from_slice(&chunk);
        }
        ExportMetricsServiceResponse::decode(&*content)
            .map_err(|_| "the response is not OTLP".to_owned())
    }
}

fn compress(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message)?;
    encoder.finish()
}

/// Returns the text of an error and its causes, without the URL.
fn with_causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
