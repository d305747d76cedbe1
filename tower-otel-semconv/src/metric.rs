//! Names, units and bucket boundaries of the HTTP metrics that the layers record.
//!
//! Names are OpenTelemetry names. A Prometheus exporter writes `http.server.request.duration` as
//! `http_server_request_duration_seconds`.
//!
//! See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/) and
//! [RPC metrics](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/).

use crate::kind::Kind;

/// Duration of server requests: histogram, [`SECONDS`], [`DURATION_BOUNDARIES`]. Stable, on by default.
pub const HTTP_SERVER_REQUEST_DURATION: &str = "http.server.request.duration";
/// Number of server requests in flight: up-down counter, [`REQUESTS`]. Opt-in.
pub const HTTP_SERVER_ACTIVE_REQUESTS: &str = "http.server.active_requests";
/// Size of request bodies received by a server, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_SERVER_REQUEST_BODY_SIZE: &str = "http.server.request.body.size";
/// Size of response bodies sent by a server, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_SERVER_RESPONSE_BODY_SIZE: &str = "http.server.response.body.size";

/// Duration of client requests: histogram, [`SECONDS`], [`DURATION_BOUNDARIES`]. Stable, on by default.
pub const HTTP_CLIENT_REQUEST_DURATION: &str = "http.client.request.duration";
/// Number of client requests in flight: up-down counter, [`REQUESTS`]. Opt-in.
pub const HTTP_CLIENT_ACTIVE_REQUESTS: &str = "http.client.active_requests";
/// Size of request bodies sent by a client, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_CLIENT_REQUEST_BODY_SIZE: &str = "http.client.request.body.size";
/// Size of response bodies received by a client, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_CLIENT_RESPONSE_BODY_SIZE: &str = "http.client.response.body.size";

/// Returns the name of the duration of RPC calls: histogram, [`SECONDS`], [`DURATION_BOUNDARIES`].
#[doc(hidden)]
#[must_use]
pub const fn rpc_call_duration(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "rpc.server.call.duration",
        Kind::Client => "rpc.client.call.duration",
    }
}

/// The unit of durations: seconds, as floating point numbers.
pub const SECONDS: &str = "s";
/// The unit of sizes: bytes.
pub const BYTES: &str = "By";
/// The unit of request counts. It is an annotation, so Prometheus names have no suffix for it.
pub const REQUESTS: &str = "{request}";

/// The recommended bucket boundaries of request durations, in seconds.
pub const DURATION_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The bucket boundaries of body sizes, in bytes. The conventions recommend none; these are the suite's own.
pub const BODY_SIZE_BOUNDARIES: [f64; 7] = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use opentelemetry_semantic_conventions::metric as published;

    #[test]
    fn names_match_the_published_conventions() {
        macro_rules! assert_published {
            ($($name:ident)*) => { $(assert_eq!($name, published::$name);)* };
        }
        assert_published! {
            HTTP_SERVER_REQUEST_DURATION
            HTTP_SERVER_ACTIVE_REQUESTS
            HTTP_SERVER_REQUEST_BODY_SIZE
            HTTP_SERVER_RESPONSE_BODY_SIZE
            HTTP_CLIENT_REQUEST_DURATION
            HTTP_CLIENT_ACTIVE_REQUESTS
            HTTP_CLIENT_REQUEST_BODY_SIZE
            HTTP_CLIENT_RESPONSE_BODY_SIZE
        }
    }

    #[test]
    fn the_durations_of_calls_have_the_published_names() {
        for (kind, name) in [
            (Kind::Server, published::RPC_SERVER_CALL_DURATION),
            (Kind::Client, published::RPC_CLIENT_CALL_DURATION),
        ] {
            assert_eq!(rpc_call_duration(kind), name);
        }
    }

    #[test]
    fn boundaries_are_in_ascending_order() {
        assert!(DURATION_BOUNDARIES.is_sorted_by(|a, b| a < b));
        assert!(BODY_SIZE_BOUNDARIES.is_sorted_by(|a, b| a < b));
    }
}
