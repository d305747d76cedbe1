//! Error responses, as in [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use opentelemetry::{Context, trace::TraceContextExt};
use serde_json::json;

/// An `application/problem+json` response. The title names the kind of problem. The detail is for
/// the client and contains no internals.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            header: None,
        }
    }

    pub(crate) fn not_found(resource: &str) -> Self {
        let detail = format!("{resource} not found");
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    /// A request that cannot be parsed.
    pub(crate) fn invalid_request(status: StatusCode, detail: String) -> Self {
        Self::new(status, "Invalid request", detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid request", detail)
    }

    pub(crate) fn unauthorized(detail: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "Not signed in", detail);
        let bearer = HeaderValue::from_static("Bearer");
        problem.header = Some((header::WWW_AUTHENTICATE, bearer));
        problem
    }

    /// A dependency does not respond. The client can retry.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Temporarily unavailable",
            detail,
        )
        .retry_after(Duration::from_secs(2))
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal error",
            "an internal error was recorded",
        )
    }

    pub(crate) fn retry_after(mut self, delay: Duration) -> Self {
        let seconds = HeaderValue::from(delay.as_secs().max(1));
        self.header = Some((header::RETRY_AFTER, seconds));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self {
            status,
            title,
            detail,
            header,
        } = self;
        // With the id, the support team can find the trace.
        let trace_id = Context::map_current(|cx| {
            let span = cx.span().span_context().clone();
            span.is_valid().then(|| span.trace_id().to_string())
        });
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "trace_id": trace_id,
        });
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, json, body.to_string()).into_response();
        response.headers_mut().extend(header);
        response
    }
}

/// Handles requests without a matching route.
pub(crate) async fn route_not_found() -> Problem {
    Problem::not_found("resource")
}

/// Handles requests with a method that the route does not support.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "this resource does not support the method",
    )
}
