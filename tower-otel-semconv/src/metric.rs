//! Names, units and bucket boundaries of the HTTP metrics that the layers record.
//!
//! Names are OpenTelemetry names. A Prometheus exporter writes `http.server.request.duration` as
//! `http_server_request_duration_seconds`.
//!
//! See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/) and
//! [RPC metrics](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/).

use crate::kind::Kind;

/// Returns the name of the metric for the duration of HTTP requests: histogram, seconds, [`DURATION_BOUNDARIES`]. The
/// conventions require it.
///
/// ```
/// use tower_otel_semconv::{Kind, metric};
///
/// assert_eq!(metric::http_request_duration(Kind::Server), "http.server.request.duration");
/// ```
#[must_use]
pub const fn http_request_duration(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "http.server.request.duration",
        Kind::Client => "http.client.request.duration",
    }
}

/// Returns the name of the metric for HTTP requests in flight: up-down counter, `{request}`. Optional in the conventions.
#[must_use]
pub const fn http_active_requests(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "http.server.active_requests",
        Kind::Client => "http.client.active_requests",
    }
}

/// Returns the name of the metric for the size of HTTP request bodies on the wire: histogram, bytes. Optional in the
/// conventions.
#[must_use]
pub const fn http_request_body_size(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "http.server.request.body.size",
        Kind::Client => "http.client.request.body.size",
    }
}

/// Returns the name of the metric for the size of HTTP response bodies on the wire: histogram, bytes. Optional in the
/// conventions.
#[must_use]
pub const fn http_response_body_size(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "http.server.response.body.size",
        Kind::Client => "http.client.response.body.size",
    }
}

/// Returns the name of the metric for the duration of RPC calls: histogram, seconds, [`DURATION_BOUNDARIES`].
#[doc(hidden)]
#[must_use]
pub const fn rpc_call_duration(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "rpc.server.call.duration",
        Kind::Client => "rpc.client.call.duration",
    }
}

/// The recommended bucket boundaries of request durations, in seconds.
pub const DURATION_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The bucket boundaries of body sizes, in bytes. The conventions recommend none, so this crate defines them.
pub const BODY_SIZE_BOUNDARIES: [f64; 7] = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use opentelemetry_semantic_conventions::metric as published;

    #[test]
    fn names_match_the_published_conventions() {
        for (name, server, client) in [
            (
                http_request_duration as fn(Kind) -> &'static str,
                published::HTTP_SERVER_REQUEST_DURATION,
                published::HTTP_CLIENT_REQUEST_DURATION,
            ),
            (
                http_active_requests,
                published::HTTP_SERVER_ACTIVE_REQUESTS,
                published::HTTP_CLIENT_ACTIVE_REQUESTS,
            ),
            (
                http_request_body_size,
                published::HTTP_SERVER_REQUEST_BODY_SIZE,
                published::HTTP_CLIENT_REQUEST_BODY_SIZE,
            ),
            (
                http_response_body_size,
                published::HTTP_SERVER_RESPONSE_BODY_SIZE,
                published::HTTP_CLIENT_RESPONSE_BODY_SIZE,
            ),
            (
                rpc_call_duration,
                published::RPC_SERVER_CALL_DURATION,
                published::RPC_CLIENT_CALL_DURATION,
            ),
        ] {
            assert_eq!([name(Kind::Server), name(Kind::Client)], [server, client]);
        }
    }

    #[test]
    fn boundaries_are_in_ascending_order() {
        assert!(DURATION_BOUNDARIES.is_sorted_by(|a, b| a < b));
        assert!(BODY_SIZE_BOUNDARIES.is_sorted_by(|a, b| a < b));
    }
}
