//! The name, unit and buckets of every metric the layers record, and of no other. A gRPC call is a request over HTTP/2 in
//! the metrics; of calls there are spans.
//!
//! Names are the dotted ones of OpenTelemetry; a Prometheus exporter writes `http.server.request.duration` as
//! `http_server_request_duration_seconds`.
//!
//! See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).

/// How long a server took: histogram, [`SECONDS`], [`DURATION_BOUNDARIES`]. Stable, on by default.
pub const HTTP_SERVER_REQUEST_DURATION: &str = "http.server.request.duration";
/// How many requests a server is answering now: up-down counter, [`REQUESTS`]. Opt-in.
pub const HTTP_SERVER_ACTIVE_REQUESTS: &str = "http.server.active_requests";
/// The size of request bodies a server read, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_SERVER_REQUEST_BODY_SIZE: &str = "http.server.request.body.size";
/// The size of response bodies a server sent, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_SERVER_RESPONSE_BODY_SIZE: &str = "http.server.response.body.size";

/// How long a client waited: histogram, [`SECONDS`], [`DURATION_BOUNDARIES`]. Stable, on by default.
pub const HTTP_CLIENT_REQUEST_DURATION: &str = "http.client.request.duration";
/// How many requests of a client are under way: up-down counter, [`REQUESTS`]. Opt-in.
pub const HTTP_CLIENT_ACTIVE_REQUESTS: &str = "http.client.active_requests";
/// The size of request bodies a client sent, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_CLIENT_REQUEST_BODY_SIZE: &str = "http.client.request.body.size";
/// The size of response bodies a client read, on the wire: histogram, [`BYTES`]. Opt-in.
pub const HTTP_CLIENT_RESPONSE_BODY_SIZE: &str = "http.client.response.body.size";

/// The unit of durations: seconds, as a float.
pub const SECONDS: &str = "s";
/// The unit of sizes: bytes.
pub const BYTES: &str = "By";
/// The unit of a count of requests. An annotation, so it leaves no suffix in Prometheus.
pub const REQUESTS: &str = "{request}";

/// The bucket boundaries, in seconds, that the conventions advise for request and call durations.
pub const DURATION_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The bucket boundaries of body sizes, in bytes. The conventions advise none; these are the suite's own.
pub const BODY_SIZE_BOUNDARIES: [f64; 7] = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use opentelemetry_semantic_conventions::metric as theirs;

    #[test]
    fn names_are_those_of_the_published_conventions() {
        for (ours, theirs) in [
            (
                HTTP_SERVER_REQUEST_DURATION,
                theirs::HTTP_SERVER_REQUEST_DURATION,
            ),
            (
                HTTP_SERVER_ACTIVE_REQUESTS,
                theirs::HTTP_SERVER_ACTIVE_REQUESTS,
            ),
            (
                HTTP_SERVER_REQUEST_BODY_SIZE,
                theirs::HTTP_SERVER_REQUEST_BODY_SIZE,
            ),
            (
                HTTP_SERVER_RESPONSE_BODY_SIZE,
                theirs::HTTP_SERVER_RESPONSE_BODY_SIZE,
            ),
            (
                HTTP_CLIENT_REQUEST_DURATION,
                theirs::HTTP_CLIENT_REQUEST_DURATION,
            ),
            (
                HTTP_CLIENT_ACTIVE_REQUESTS,
                theirs::HTTP_CLIENT_ACTIVE_REQUESTS,
            ),
            (
                HTTP_CLIENT_REQUEST_BODY_SIZE,
                theirs::HTTP_CLIENT_REQUEST_BODY_SIZE,
            ),
            (
                HTTP_CLIENT_RESPONSE_BODY_SIZE,
                theirs::HTTP_CLIENT_RESPONSE_BODY_SIZE,
            ),
        ] {
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn boundaries_rise() {
        assert!(DURATION_BOUNDARIES.is_sorted_by(|a, b| a < b));
        assert!(BODY_SIZE_BOUNDARIES.is_sorted_by(|a, b| a < b));
    }
}
