//! The options of the OTLP exporter.

use std::{fmt, io, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, USER_AGENT},
};
use opentelemetry_sdk::Resource;

#[cfg(feature = "grpc")]
use crate::otlp::grpc::{self, GrpcClient};
#[cfg(feature = "http")]
use crate::otlp::http::HttpClient;
use crate::{
    exporter::{BoxedExporter, Exporter, sealed::Sealed},
    otlp::{
        batch::Batch,
        client::Client,
        endpoint::{origin, parse_endpoint, shown},
        invalid::invalid,
        record_exporter::OtlpRecordExporter,
        runtime::ExportRuntime,
        secrets::Secrets,
        userinfo,
    },
};

/// The `user-agent` that the specification of OTLP exporters recommends.
const PRODUCT: &str = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Exports spans over OTLP, with gRPC (feature `grpc`) or HTTP and protobuf (feature `http`).
///
/// [`RecorderBuilder::build`](crate::RecorderBuilder::build) returns an error if an option is invalid. The exporter
/// connects when it first exports.
///
/// | response of the collector | action |
/// |---|---|
/// | [retryable](https://opentelemetry.io/docs/specs/otlp/#failures) failure, or no connection | sends the request again until the [timeout](Self::timeout) of the batch, with growing delays or after the time that the collector requests; then counts the spans as [failed](crate::SpanCounts::failed) |
/// | the request is too large (`OUT_OF_RANGE` or `RESOURCE_EXHAUSTED` without a delay, or 413) | splits the request; counts a single span that is refused as failed. Stops after 64 refused requests of a batch, or after two refused single spans if no request was accepted, and counts the remaining spans as failed |
/// | success over HTTP, and the connection fails before the end of the response | counts the spans as failed, because a second request could store them twice |
/// | another failure | counts the spans as failed |
///
/// Without a connection, a flush or a shutdown sends each request only once.
///
/// User and password of an endpoint (`http://user:password@host`) are sent as an `authorization` header, unless this header
/// is set.
///
/// See [OTLP](https://opentelemetry.io/docs/specs/otlp/).
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use tower_otel_recorder::{OtlpExporter, Recorder};
///
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(feature = "grpc")] {
/// let exporter = OtlpExporter::grpc("http://localhost:4317")
///     .header("authorization", "Bearer token")
///     .gzip(true)
///     .timeout(Duration::from_secs(5));
/// let recorder = Recorder::builder(exporter).build()?;
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct OtlpExporter {
    options: Options,
}

struct Options {
    protocol: Protocol,
    endpoint: String,
    headers: Vec<(String, String)>,
    gzip: bool,
    timeout: Duration,
    tls: TlsOptions,
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    #[cfg(feature = "grpc")]
    Grpc,
    #[cfg(feature = "http")]
    Http,
}

/// Certificates and keys, as PEM.
#[derive(Default)]
pub(crate) struct TlsOptions {
    pub(crate) ca_certificate: Option<Vec<u8>>,
    pub(crate) client_certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// Without headers, certificates and keys.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("protocol", &self.protocol)
            .field("endpoint", &shown(&self.endpoint))
            .field("gzip", &self.gzip)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl OtlpExporter {
    /// Returns an exporter over gRPC to a collector at this URL, for example `http://localhost:4317`. Requires the feature
    /// `grpc`, and `tls` for `https://`.
    #[cfg(feature = "grpc")]
    pub fn grpc(endpoint: impl Into<String>) -> Self {
        Self::new(Protocol::Grpc, endpoint.into())
    }

    /// Returns an exporter over HTTP that posts to this URL, for example `http://localhost:4318/v1/traces`. No path is
    /// appended. Requires the feature `http`, and `tls` for `https://`.
    #[cfg(feature = "http")]
    pub fn http(url: impl Into<String>) -> Self {
        Self::new(Protocol::Http, url.into())
    }

    fn new(protocol: Protocol, endpoint: String) -> Self {
        Self {
            options: Options {
                protocol,
                endpoint,
                headers: Vec::new(),
                gzip: false,
                timeout: Duration::from_secs(10),
                tls: TlsOptions::default(),
            },
        }
    }

    /// Adds a header to all requests. Default: none. The name must be a token that does not end in `-bin`, the value printable
    /// ASCII.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.headers.push((name.into(), value.into()));
        self
    }

    /// Sets whether requests are compressed with gzip. Default: `false`.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.options.gzip = gzip;
        self
    }

    /// Sets the maximum time for the export of a batch, including all retries. Default: 10 seconds. Zero is an error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Sets the CA certificates that verify an `https://` endpoint, as PEM. Default: those of the platform.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.tls.ca_certificate = Some(pem.into());
        self
    }

    /// Sets the client certificate and its private key for an `https://` endpoint, as PEM. Default: none.
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.options.tls.client_certificate = Some((pem.into(), key.into()));
        self
    }
}

impl Exporter for OtlpExporter {}

impl Sealed for OtlpExporter {
    fn prepare(self, resource: &Resource) -> io::Result<BoxedExporter> {
        let options = self.options;
        let uri = parse_endpoint(&options.endpoint)?;
        let is_https = uri.scheme_str() == Some("https");
        if is_https && cfg!(not(feature = "tls")) {
            return Err(invalid(
                "an https:// endpoint needs the feature `tls` of tower-otel-recorder",
            ));
        }
        if options.timeout.is_zero() {
            return Err(invalid("the timeout is 0 (expected more than 0)"));
        }
        let mut headers = parse_headers(&options.headers)?;
        let (url, authorization) = userinfo::split(&options.endpoint, &uri);
        if let Some(authorization) = authorization {
            headers.entry(AUTHORIZATION).or_insert(authorization);
        }
        let secrets = Secrets::new(&headers);
        let tls = is_https.then_some(&options.tls);
        let client = match options.protocol {
            #[cfg(feature = "grpc")]
            Protocol::Grpc => {
                let endpoint = grpc::endpoint(&url)?;
                #[cfg(feature = "tls")]
                let endpoint = match tls {
                    Some(tls) => tls.grpc(endpoint)?,
                    None => endpoint,
                };
                Client::Grpc(Box::new(GrpcClient::new(endpoint, headers, options.gzip)))
            }
            #[cfg(feature = "http")]
            Protocol::Http => {
                let builder = reqwest::Client::builder();
                #[cfg(feature = "tls")]
                let builder = match tls {
                    Some(tls) => tls.http(builder)?,
                    // A container may have no certificates. Without TLS none are needed.
                    None => builder.tls_certs_only([]),
                };
                Client::Http(HttpClient::new(builder, &url, headers, options.gzip)?)
            }
        };
        #[cfg(not(feature = "tls"))]
        let _ = tls;
        Ok(BoxedExporter(Box::new(OtlpRecordExporter {
            client,
            batch: Batch::new(resource),
            gzip: options.gzip,
            timeout: options.timeout,
            origin: origin(&uri),
            secrets,
            runtime: ExportRuntime::new()?,
        })))
    }
}

fn parse_headers(headers: &[(String, String)]) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(PRODUCT))]);
    for (index, (name, value)) in headers.iter().enumerate() {
        // gRPC reserves the suffix for binary values.
        let parsed = name
            .parse()
            .ok()
            .filter(|name: &HeaderName| !name.as_str().ends_with("-bin"));
        let Some(parsed) = parsed else {
            // The name may be a misplaced value, so it is not shown.
            return Err(invalid(&format!(
                "the name of header {} is invalid (expected a token that does not end in -bin)",
                index + 1
            )));
        };
        let is_printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let mut value = match HeaderValue::from_str(value) {
            Ok(value) if is_printable => value,
            _ => {
                return Err(invalid(&format!(
                    "the value of the header {parsed} is invalid (expected printable ASCII)"
                )));
            }
        };
        value.set_sensitive(true);
        map.insert(parsed, value);
    }
    Ok(map)
}
