//! The names of metrics, and their descriptions.

use std::borrow::Cow;

use tower_otel_core::Kind;
use tower_otel_semconv::metric;

/// The naming scheme of metrics and labels. Default: [`Short`](Self::Short).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// Short names and labels. This is the default. [What is recorded](crate#what-is-recorded) describes the labels.
    ///
    /// | server | client |
    /// |---|---|
    /// | `http_requests_total{method,path,status}` | `http_client_requests_total{method,host,status}` |
    /// | `http_request_duration_seconds{method,path}` | `http_client_request_duration_seconds{method,host}` |
    /// | `http_requests_in_flight{method}` | `http_client_requests_in_flight{host}` |
    /// | `http_streams_open{method}` | `http_client_streams_open{host}` |
    /// | `http_responses_aborted_total{method,path}` | |
    #[default]
    Short,
    /// The names of the semantic conventions, in the format of Prometheus.
    ///
    /// The `_count` of the duration histogram is the number of requests. `error_type` is the
    /// [class of the error](tower_otel_core::End::error_type).
    ///
    /// | server | client |
    /// |---|---|
    /// | `http_server_request_duration_seconds{http_request_method,url_scheme,http_route,http_response_status_code,error_type,network_protocol_version}` | `http_client_request_duration_seconds{http_request_method,server_address,server_port,http_response_status_code,error_type,network_protocol_version}` |
    /// | `http_server_active_requests{http_request_method,url_scheme}` | `http_client_active_requests{http_request_method,server_address,server_port}` |
    /// | `http_server_open_streams`, with the labels of the active requests; not in the conventions | `http_client_open_streams` |
    ///
    /// See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
    Conventions,
}

/// The name and the description of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    /// The name in Prometheus.
    pub(crate) name: Cow<'static, str>,
    /// The name in OpenTelemetry.
    #[cfg_attr(not(feature = "opentelemetry"), allow(dead_code))]
    pub(crate) dotted: Cow<'static, str>,
    pub(crate) help: &'static str,
}

/// The metrics of one layer.
#[derive(Clone, Debug)]
pub struct MetricSet {
    pub(crate) requests: Option<Metric>,
    pub(crate) duration: Metric,
    pub(crate) in_flight: Metric,
    /// Open long-lived streams and upgraded connections.
    pub(crate) streams: Metric,
    pub(crate) aborted: Option<Metric>,
    /// The body sizes of requests and of responses, if enabled.
    pub(crate) sizes: Option<(Metric, Metric)>,
}

impl Metric {
    pub(crate) const fn new(name: &'static str, dotted: &'static str, help: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            dotted: Cow::Borrowed(dotted),
            help,
        }
    }
}

impl Names {
    /// Returns the metrics of this naming scheme, without body sizes.
    pub(crate) const fn metrics(self, kind: Kind) -> MetricSet {
        match (self, kind) {
            (Self::Short, Kind::Server) => MetricSet {
                requests: Some(Metric::new(
                    "http_requests_total",
                    "http_requests_total",
                    "HTTP requests served, by how they ended.",
                )),
                duration: Metric::new(
                    "http_request_duration_seconds",
                    "http_request_duration_seconds",
                    "Time from the arrival of an HTTP request to the end of its response.",
                ),
                in_flight: Metric::new(
                    "http_requests_in_flight",
                    "http_requests_in_flight",
                    "HTTP requests being served.",
                ),
                streams: Metric::new(
                    "http_streams_open",
                    "http_streams_open",
                    "Streams and upgraded connections being served.",
                ),
                aborted: Some(Metric::new(
                    "http_responses_aborted_total",
                    "http_responses_aborted_total",
                    "HTTP responses whose body did not reach its end.",
                )),
                sizes: None,
            },
            (Self::Short, Kind::Client) => MetricSet {
                requests: Some(Metric::new(
                    "http_client_requests_total",
                    "http_client_requests_total",
                    "HTTP requests sent, by how they ended.",
                )),
                duration: Metric::new(
                    "http_client_request_duration_seconds",
                    "http_client_request_duration_seconds",
                    "Time from sending an HTTP request to the end of its response.",
                ),
                in_flight: Metric::new(
                    "http_client_requests_in_flight",
                    "http_client_requests_in_flight",
                    "HTTP requests waiting for the end of their response.",
                ),
                streams: Metric::new(
                    "http_client_streams_open",
                    "http_client_streams_open",
                    "Streams and upgraded connections being received.",
                ),
                aborted: None,
                sizes: None,
            },
            (Self::Conventions, Kind::Server) => MetricSet {
                requests: None,
                duration: Metric::new(
                    "http_server_request_duration_seconds",
                    metric::http_request_duration(Kind::Server),
                    "Duration of HTTP server requests.",
                ),
                in_flight: Metric::new(
                    "http_server_active_requests",
                    metric::http_active_requests(Kind::Server),
                    "Number of active HTTP server requests.",
                ),
                streams: Metric::new(
                    "http_server_open_streams",
                    "http.server.open_streams",
                    "Number of streams and upgraded connections that an HTTP server has open.",
                ),
                aborted: None,
                sizes: None,
            },
            (Self::Conventions, Kind::Client) => MetricSet {
                requests: None,
                duration: Metric::new(
                    "http_client_request_duration_seconds",
                    metric::http_request_duration(Kind::Client),
                    "Duration of HTTP client requests.",
                ),
                in_flight: Metric::new(
                    "http_client_active_requests",
                    metric::http_active_requests(Kind::Client),
                    "Number of active HTTP client requests.",
                ),
                streams: Metric::new(
                    "http_client_open_streams",
                    "http.client.open_streams",
                    "Number of streams and upgraded connections that an HTTP client has open.",
                ),
                aborted: None,
                sizes: None,
            },
        }
    }

    /// Returns the metrics of the body sizes of requests and responses. Both naming schemes use the names of the conventions.
    pub(crate) const fn size_metrics(kind: Kind) -> (Metric, Metric) {
        match kind {
            Kind::Server => (
                Metric::new(
                    "http_server_request_body_size_bytes",
                    metric::http_request_body_size(Kind::Server),
                    "Size of HTTP server request bodies.",
                ),
                Metric::new(
                    "http_server_response_body_size_bytes",
                    metric::http_response_body_size(Kind::Server),
                    "Size of HTTP server response bodies.",
                ),
            ),
            Kind::Client => (
                Metric::new(
                    "http_client_request_body_size_bytes",
                    metric::http_request_body_size(Kind::Client),
                    "Size of HTTP client request bodies.",
                ),
                Metric::new(
                    "http_client_response_body_size_bytes",
                    metric::http_response_body_size(Kind::Client),
                    "Size of HTTP client response bodies.",
                ),
            ),
        }
    }
}
