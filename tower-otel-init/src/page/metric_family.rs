//! The metrics of the layers that the page shows, with the names and labels of `Names::Short` or `Names::Conventions`.

use crate::sample::Sample;

/// The metrics of servers or of clients for one protocol.
#[derive(Debug)]
pub(crate) struct MetricFamily {
    /// `server` or `client`.
    pub(crate) side: &'static str,
    pub(crate) protocol: &'static str,
    /// The counter of requests. The conventions have no counter: the count of the histogram is the number of requests.
    counter: &'static str,
    /// The histogram of durations, under both naming schemes.
    durations: [&'static str; 2],
    /// A label of the histogram that exists only under the conventions.
    convention: &'static str,
    in_flight: [&'static str; 2],
    aborted: Option<&'static str>,
    /// The labels of the method, under both naming schemes. Empty if the group contains it.
    method: &'static [&'static str],
    /// The labels of the route or the host.
    group: &'static [&'static str],
    is_error_status: fn(&str) -> bool,
}

/// The kind of value in a sample of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Requests { failed: bool },
    Bucket,
    InFlight,
    Aborted,
}

impl MetricFamily {
    /// Returns whether a metric has this name.
    fn has(&self, name: &str) -> bool {
        let is_duration = |base: &&str| matches!(suffix(name, base), Some("_bucket" | "_count"));
        name == self.counter
            || self.durations.iter().any(is_duration)
            || self.in_flight.contains(&name)
            || self.aborted == Some(name)
    }

    /// Returns the kind of value in a sample of this family. Returns `None` for the count of a histogram if the family has a
    /// counter.
    pub(crate) fn part(&self, sample: &Sample<'_>) -> Option<Part> {
        if sample.name == self.counter {
            let failed = (self.is_error_status)(sample.label("status"));
            return Some(Part::Requests { failed });
        }
        if self.in_flight.contains(&sample.name) {
            return Some(Part::InFlight);
        }
        if self.aborted == Some(sample.name) {
            return Some(Part::Aborted);
        }
        if sample.name.ends_with("_bucket") {
            return Some(Part::Bucket);
        }
        let failed = !sample.label("error_type").is_empty();
        (!sample.label(self.convention).is_empty()).then_some(Part::Requests { failed })
    }

    /// Returns the method and the route or host of a sample.
    pub(crate) fn key(&self, sample: &Sample<'_>) -> (String, String) {
        let methods = self.method.iter().map(|label| sample.label(label));
        let method = methods.into_iter().find(|method| !method.is_empty());
        let mut group = String::new();
        for label in self.group {
            let value = sample.label(label);
            if !group.is_empty() && !value.is_empty() {
                group.push(if *label == "server_port" { ':' } else { ' ' });
            }
            group.push_str(value);
        }
        (method.unwrap_or_default().to_owned(), group)
    }
}

/// Returns the family of a metric, and its index.
pub(crate) fn family_of(name: &str) -> Option<(usize, &'static MetricFamily)> {
    let families = FAMILIES.iter().enumerate();
    families.into_iter().find(|(_, family)| family.has(name))
}

fn suffix<'a>(name: &'a str, base: &str) -> Option<&'a str> {
    name.strip_prefix(base)
}

/// The families in the order in which they are shown.
pub(crate) static FAMILIES: [MetricFamily; 4] = [
    MetricFamily {
        side: "server",
        protocol: "HTTP",
        counter: "http_requests_total",
        durations: [
            "http_request_duration_seconds",
            "http_server_request_duration_seconds",
        ],
        convention: "http_request_method",
        in_flight: ["http_requests_in_flight", "http_server_active_requests"],
        aborted: Some("http_responses_aborted_total"),
        method: &["method", "http_request_method"],
        group: &["path", "http_route"],
        // A cancelled request counts: the server did not send its response.
        is_error_status: |status| status.starts_with('5') || !is_code(status),
    },
    MetricFamily {
        side: "server",
        protocol: "gRPC",
        counter: "grpc_requests_total",
        durations: [
            "grpc_request_duration_seconds",
            "rpc_server_call_duration_seconds",
        ],
        convention: "rpc_method",
        in_flight: ["grpc_requests_in_flight", ""],
        aborted: None,
        method: &[],
        group: &["method", "rpc_method"],
        is_error_status: |status| GRPC_SERVER_ERRORS.contains(&status),
    },
    MetricFamily {
        side: "client",
        protocol: "HTTP",
        counter: "http_client_requests_total",
        durations: ["http_client_request_duration_seconds"; 2],
        convention: "http_request_method",
        in_flight: [
            "http_client_requests_in_flight",
            "http_client_active_requests",
        ],
        aborted: None,
        method: &["method", "http_request_method"],
        group: &["host", "server_address", "server_port"],
        // A cancelled request does not count: the client chose to cancel it.
        is_error_status: |status| {
            status.starts_with(['4', '5']) || !is_code(status) && status != "cancelled"
        },
    },
    MetricFamily {
        side: "client",
        protocol: "gRPC",
        counter: "grpc_client_requests_total",
        durations: [
            "grpc_client_request_duration_seconds",
            "rpc_client_call_duration_seconds",
        ],
        convention: "rpc_method",
        in_flight: ["grpc_client_requests_in_flight", ""],
        aborted: None,
        method: &[],
        group: &[
            "host",
            "server_address",
            "server_port",
            "method",
            "rpc_method",
        ],
        is_error_status: |status| !["OK", "CANCELLED", "cancelled"].contains(&status),
    },
];

/// The statuses that are errors of a gRPC server, including the values without a status code.
const GRPC_SERVER_ERRORS: [&str; 9] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "cancelled",
    "error",
    "panic",
];

fn is_code(status: &str) -> bool {
    status.starts_with(|first: char| first.is_ascii_digit())
}
