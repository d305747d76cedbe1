//! The expected telemetry of an exchange.

use std::net::SocketAddr;

use http::StatusCode;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::telemetry::{TestTelemetry, assert_metrics_error_type, attribute, integer, text};

/// The expected telemetry of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) method: &'static str,
    /// The `status` label of the counter.
    pub(crate) status: &'static str,
    /// The status code of the span.
    pub(crate) code: Option<i64>,
    pub(crate) error: Option<&'static str>,
}

pub(crate) const COMPLETE: Expected = Expected {
    method: "GET",
    status: "200",
    code: Some(200),
    error: None,
};

/// Returns the expected telemetry of an exchange without a response.
pub(crate) const fn without_response(
    status: &'static str,
    error: Option<&'static str>,
) -> Expected {
    Expected {
        status,
        code: None,
        error,
        ..COMPLETE
    }
}

/// Returns the expected telemetry of a response with this status.
pub(crate) fn with_code(
    code: StatusCode,
    status: &'static str,
    error: Option<&'static str>,
) -> Expected {
    Expected {
        status,
        code: Some(i64::from(code.as_u16())),
        error,
        ..COMPLETE
    }
}

/// Returns the expected telemetry of a response whose body fails.
pub(crate) const fn failed_body(error: &'static str) -> Expected {
    Expected {
        error: Some(error),
        ..COMPLETE
    }
}

pub(crate) async fn assert_recorded(
    telemetry: &TestTelemetry,
    to: SocketAddr,
    url: &str,
    expected: Expected,
) -> SpanData {
    let span = &telemetry.only_span("http_client").await;
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.name, expected.method);
    assert_eq!(
        text(span, "http.request.method").as_deref(),
        Some(expected.method)
    );
    assert_eq!(text(span, "url.full").as_deref(), Some(url));
    assert_eq!(text(span, "server.address"), Some(to.ip().to_string()));
    assert_eq!(integer(span, "server.port"), Some(i64::from(to.port())));
    assert_eq!(integer(span, "http.response.status_code"), expected.code);
    assert_eq!(text(span, "error.type").as_deref(), expected.error);
    for server_only in ["http.route", "url.path", "client.address"] {
        assert_eq!(attribute(span, server_only), None, "{server_only}");
    }
    assert_eq!(
        span.status,
        match expected.error {
            Some(_) => Status::error(""),
            None => Status::Unset,
        }
    );
    assert_metrics_error_type(telemetry, "client", expected.error);
    let host = to.to_string();
    let (host, method) = (("host", host.as_str()), ("method", expected.method));
    let metrics = telemetry.metrics();
    for (metric, labels, value) in [
        (
            "http_client_requests_total",
            &[host, method, ("status", expected.status)][..],
            1.0,
        ),
        ("http_client_requests_total", &[], 1.0),
        (
            "http_client_request_duration_seconds_count",
            &[host, method],
            1.0,
        ),
        ("http_client_request_duration_seconds_count", &[], 1.0),
        ("http_client_requests_in_flight", &[], 0.0),
    ] {
        assert_eq!(
            telemetry.sum(metric, labels),
            value,
            "{metric}{labels:?} in\n{metrics}"
        );
    }
    assert!(
        metrics.contains(&format!("http_client_requests_in_flight{{host=\"{to}\"}} ")),
        "{metrics}"
    );
    assert!(!metrics.contains("aborted"), "{metrics}");
    span.clone()
}
