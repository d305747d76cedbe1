//! The names of the metrics of gRPC calls.

use tower_otel_core::Kind;
use tower_otel_semconv::metric;

use crate::names::{Metric, MetricSet, Names};

/// Returns the metrics of a naming scheme. The conventions have no gauges for calls, so both schemes have the same gauges.
pub(crate) fn metrics(names: Names, kind: Kind) -> MetricSet {
    let (requests, duration) = match names {
        Names::Short => {
            let (requests, duration) = short(kind);
            (Some(requests), duration)
        }
        Names::Conventions => (None, by_conventions(kind)),
    };
    MetricSet {
        requests,
        duration,
        in_flight: in_flight(kind),
        streams: streams(kind),
        aborted: None,
        sizes: None,
    }
}

fn short(kind: Kind) -> (Metric, Metric) {
    match kind {
        Kind::Server => (
            Metric::new(
                "grpc_requests_total",
                "grpc_requests_total",
                "gRPC calls served, by status.",
            ),
            Metric::new(
                "grpc_request_duration_seconds",
                "grpc_request_duration_seconds",
                "Time from the arrival of a gRPC call to the end of its response.",
            ),
        ),
        Kind::Client => (
            Metric::new(
                "grpc_client_requests_total",
                "grpc_client_requests_total",
                "gRPC calls made, by status.",
            ),
            Metric::new(
                "grpc_client_request_duration_seconds",
                "grpc_client_request_duration_seconds",
                "Time from the start of a gRPC call to the end of its response.",
            ),
        ),
    }
}

fn by_conventions(kind: Kind) -> Metric {
    let dotted = metric::rpc_call_duration(kind);
    match kind {
        Kind::Server => Metric::new(
            "rpc_server_call_duration_seconds",
            dotted,
            "Measures the duration of an incoming Remote Procedure Call (RPC).",
        ),
        Kind::Client => Metric::new(
            "rpc_client_call_duration_seconds",
            dotted,
            "Measures the duration of an outgoing Remote Procedure Call (RPC).",
        ),
    }
}

fn in_flight(kind: Kind) -> Metric {
    match kind {
        Kind::Server => Metric::new(
            "grpc_requests_in_flight",
            "grpc_requests_in_flight",
            "gRPC calls being served.",
        ),
        Kind::Client => Metric::new(
            "grpc_client_requests_in_flight",
            "grpc_client_requests_in_flight",
            "gRPC calls waiting for the end of their response.",
        ),
    }
}

fn streams(kind: Kind) -> Metric {
    match kind {
        Kind::Server => Metric::new(
            "grpc_streams_open",
            "grpc_streams_open",
            "gRPC calls being served that are meant to last.",
        ),
        Kind::Client => Metric::new(
            "grpc_client_streams_open",
            "grpc_client_streams_open",
            "gRPC calls being received that are meant to last.",
        ),
    }
}
