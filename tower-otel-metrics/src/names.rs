//! What the metrics and their labels are called.

use std::borrow::Cow;

use tower_otel_core::Kind;
use tower_otel_semconv::metric;

/// The names of the metrics and of their labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// Short names, with the labels one types into a query (the default):
    ///
    /// | server | client |
    /// |---|---|
    /// | `http_requests_total{method,path,status}` | `http_client_requests_total{method,host,status}` |
    /// | `http_request_duration_seconds{method,path}` | `http_client_request_duration_seconds{method,host}` |
    /// | `http_requests_in_flight{method}` | `http_client_requests_in_flight{host}` |
    /// | `http_responses_aborted_total{method,path}` | |
    #[default]
    Short,
    /// The names of the semantic conventions, as Prometheus spells them. The count of the
    /// duration histogram is the count of requests, and `error_type` tells what went wrong:
    ///
    /// | server | client |
    /// |---|---|
    /// | `http_server_request_duration_seconds{http_request_method,url_scheme,http_route,http_response_status_code,error_type,network_protocol_version}` | `http_client_request_duration_seconds{http_request_method,server_address,server_port,http_response_status_code,error_type,network_protocol_version}` |
    /// | `http_server_active_requests{http_request_method,url_scheme}` | `http_client_active_requests{http_request_method,server_address,server_port}` |
    ///
    /// See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
    Conventions,
}

/// One metric: its name, and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    /// As Prometheus spells it.
    pub(crate) name: Cow<'static, str>,
    /// As OpenTelemetry does.
    #[cfg_attr(not(feature = "opentelemetry"), allow(dead_code))]
    pub(crate) dotted: Cow<'static, str>,
    pub(crate) help: &'static str,
}

/// The metrics of one kind of exchange.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) requests: Option<Metric>,
    pub(crate) duration: Metric,
    pub(crate) in_flight: Metric,
    pub(crate) aborted: Option<Metric>,
    /// Of the request and of the response, where they are asked for.
    pub(crate) sizes: Option<(Metric, Metric)>,
}

impl Metric {
    const fn new(name: &'static str, dotted: &'static str, help: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            dotted: Cow::Borrowed(dotted),
            help,
        }
    }
}

impl Names {
    pub(crate) const fn metrics(self, kind: Kind) -> Metrics {
        match (self, kind) {
            (Self::Short, Kind::Server) => Metrics {
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
                aborted: Some(Metric::new(
                    "http_responses_aborted_total",
                    "http_responses_aborted_total",
                    "HTTP responses whose body did not reach its end.",
                )),
                sizes: None,
            },
            (Self::Short, Kind::Client) => Metrics {
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
                aborted: None,
                sizes: None,
            },
            (Self::Conventions, Kind::Server) => Metrics {
                requests: None,
                duration: Metric::new(
                    "http_server_request_duration_seconds",
                    metric::HTTP_SERVER_REQUEST_DURATION,
                    "Duration of HTTP server requests.",
                ),
                in_flight: Metric::new(
                    "http_server_active_requests",
                    metric::HTTP_SERVER_ACTIVE_REQUESTS,
                    "Number of active HTTP server requests.",
                ),
                aborted: None,
                sizes: None,
            },
            (Self::Conventions, Kind::Client) => Metrics {
                requests: None,
                duration: Metric::new(
                    "http_client_request_duration_seconds",
                    metric::HTTP_CLIENT_REQUEST_DURATION,
                    "Duration of HTTP client requests.",
                ),
                in_flight: Metric::new(
                    "http_client_active_requests",
                    metric::HTTP_CLIENT_ACTIVE_REQUESTS,
                    "Number of active HTTP client requests.",
                ),
                aborted: None,
                sizes: None,
            },
        }
    }

    /// The sizes of bodies: the conventions' names in either way of naming, for the short names
    /// have none of their own.
    pub(crate) const fn sizes(kind: Kind) -> (Metric, Metric) {
        match kind {
            Kind::Server => (
                Metric::new(
                    "http_server_request_body_size_bytes",
                    metric::HTTP_SERVER_REQUEST_BODY_SIZE,
                    "Size of HTTP server request bodies.",
                ),
                Metric::new(
                    "http_server_response_body_size_bytes",
                    metric::HTTP_SERVER_RESPONSE_BODY_SIZE,
                    "Size of HTTP server response bodies.",
                ),
            ),
            Kind::Client => (
                Metric::new(
                    "http_client_request_body_size_bytes",
                    metric::HTTP_CLIENT_REQUEST_BODY_SIZE,
                    "Size of HTTP client request bodies.",
                ),
                Metric::new(
                    "http_client_response_body_size_bytes",
                    metric::HTTP_CLIENT_RESPONSE_BODY_SIZE,
                    "Size of HTTP client response bodies.",
                ),
            ),
        }
    }
}
