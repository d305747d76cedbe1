//! What the metrics and their labels are called.

use tower_otel_core::{
    Kind,
    semconv::{attribute, metric},
};

use crate::dimensions::Dimensions;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// As Prometheus spells it.
    pub(crate) name: &'static str,
    /// As OpenTelemetry does.
    #[cfg_attr(not(feature = "opentelemetry"), allow(dead_code))]
    pub(crate) dotted: &'static str,
    pub(crate) help: &'static str,
}

/// The metrics of one kind of exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics {
    pub(crate) requests: Option<Metric>,
    pub(crate) duration: Metric,
    pub(crate) in_flight: Metric,
    pub(crate) aborted: Option<Metric>,
}

/// The label that only the counter of requests has.
pub(crate) const STATUS: &str = "status";

/// The labels of one series, by the names of the conventions where there are any.
pub(crate) type Labels = Vec<(&'static str, LabelValue)>;

/// A text or a number: to Prometheus all are texts, to OpenTelemetry they are not.
#[derive(Clone, Debug)]
pub(crate) enum LabelValue {
    Text(String),
    Number(u16),
}

impl Names {
    pub(crate) const fn metrics(self, kind: Kind) -> Metrics {
        match (self, kind) {
            (Self::Short, Kind::Server) => Metrics {
                requests: Some(Metric {
                    name: "http_requests_total",
                    dotted: "http_requests_total",
                    help: "HTTP requests served, by how they ended.",
                }),
                duration: Metric {
                    name: "http_request_duration_seconds",
                    dotted: "http_request_duration_seconds",
                    help: "Time from the arrival of an HTTP request to the end of its response.",
                },
                in_flight: Metric {
                    name: "http_requests_in_flight",
                    dotted: "http_requests_in_flight",
                    help: "HTTP requests being served.",
                },
                aborted: Some(Metric {
                    name: "http_responses_aborted_total",
                    dotted: "http_responses_aborted_total",
                    help: "HTTP responses whose body did not reach its end.",
                }),
            },
            (Self::Short, Kind::Client) => Metrics {
                requests: Some(Metric {
                    name: "http_client_requests_total",
                    dotted: "http_client_requests_total",
                    help: "HTTP requests sent, by how they ended.",
                }),
                duration: Metric {
                    name: "http_client_request_duration_seconds",
                    dotted: "http_client_request_duration_seconds",
                    help: "Time from sending an HTTP request to the end of its response.",
                },
                in_flight: Metric {
                    name: "http_client_requests_in_flight",
                    dotted: "http_client_requests_in_flight",
                    help: "HTTP requests waiting for the end of their response.",
                },
                aborted: None,
            },
            (Self::Conventions, Kind::Server) => Metrics {
                requests: None,
                duration: Metric {
                    name: "http_server_request_duration_seconds",
                    dotted: metric::HTTP_SERVER_REQUEST_DURATION,
                    help: "Duration of HTTP server requests.",
                },
                in_flight: Metric {
                    name: "http_server_active_requests",
                    dotted: metric::HTTP_SERVER_ACTIVE_REQUESTS,
                    help: "Number of active HTTP server requests.",
                },
                aborted: None,
            },
            (Self::Conventions, Kind::Client) => Metrics {
                requests: None,
                duration: Metric {
                    name: "http_client_request_duration_seconds",
                    dotted: metric::HTTP_CLIENT_REQUEST_DURATION,
                    help: "Duration of HTTP client requests.",
                },
                in_flight: Metric {
                    name: "http_client_active_requests",
                    dotted: metric::HTTP_CLIENT_ACTIVE_REQUESTS,
                    help: "Number of active HTTP client requests.",
                },
                aborted: None,
            },
        }
    }

    /// Labels of what is known when an exchange has ended, but for the counter's `status`.
    pub(crate) fn outcome_labels(self, kind: Kind, of: &Dimensions<'_>) -> Labels {
        let mut labels = Labels::new();
        match self {
            Self::Short => {
                push(&mut labels, "method", of.method);
                push_place(&mut labels, kind, of);
            }
            Self::Conventions => {
                self.exchange_labels(kind, of, &mut labels);
                if kind == Kind::Server {
                    if let Some(route) = of.place {
                        push(&mut labels, attribute::HTTP_ROUTE, route);
                    }
                }
                if let Some(status) = of.status {
                    let status = LabelValue::Number(status.as_u16());
                    labels.push((attribute::HTTP_RESPONSE_STATUS_CODE, status));
                }
                if let Some(error) = of.error_type {
                    push(&mut labels, attribute::ERROR_TYPE, error);
                }
                if let Some(version) = of.version {
                    push(&mut labels, attribute::NETWORK_PROTOCOL_VERSION, version);
                }
            }
        }
        labels
    }

    /// Labels of what is known when an exchange starts.
    pub(crate) fn in_flight_labels(self, kind: Kind, of: &Dimensions<'_>) -> Labels {
        let mut labels = Labels::new();
        match (self, kind) {
            (Self::Short, Kind::Server) => push(&mut labels, "method", of.method),
            (Self::Short, Kind::Client) => push_place(&mut labels, kind, of),
            (Self::Conventions, _) => self.exchange_labels(kind, of, &mut labels),
        }
        labels
    }

    /// What the conventions ask of every metric of an exchange.
    fn exchange_labels(self, kind: Kind, of: &Dimensions<'_>, labels: &mut Labels) {
        push(labels, attribute::HTTP_REQUEST_METHOD, of.method);
        match kind {
            Kind::Server => push(labels, attribute::URL_SCHEME, of.scheme),
            Kind::Client => {
                push(labels, attribute::SERVER_ADDRESS, of.place());
                if let Some(port) = of.port {
                    labels.push((attribute::SERVER_PORT, LabelValue::Number(port)));
                }
            }
        }
    }
}

/// Where an exchange took place: on a route of this server, or at another host.
fn push_place(labels: &mut Labels, kind: Kind, of: &Dimensions<'_>) {
    match (kind, of.port) {
        (Kind::Server, _) => push(labels, "path", of.place()),
        (Kind::Client, None) => push(labels, "host", of.place()),
        (Kind::Client, Some(port)) => push(labels, "host", &format!("{}:{port}", of.place())),
    }
}

fn push(labels: &mut Labels, key: &'static str, value: &str) {
    labels.push((key, LabelValue::Text(value.to_owned())));
}
