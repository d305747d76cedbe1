//! Errors as clients see them: [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use opentelemetry::{Context, trace::TraceContextExt};
use serde_json::json;

/// An `application/problem+json`. The title is the same for every problem of a kind; the detail is
/// for the client, and what went wrong inside is not part of it.
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

    pub(crate) fn not_found(what: &str) -> Self {
        let detail = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    /// What could not be read of a request.
    pub(crate) fn refused(status: StatusCode, detail: String) -> Self {
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

    /// Something this service needs does not answer. Trying again may help.
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
            "something went wrong here; it has been recorded",
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
        // For whoever has to find the trace of what a customer complains about.
        let trace = Context::map_current(|cx| {
            let span = cx.span().span_context().clone();
            span.is_valid().then(|| span.trace_id().to_string())
        });
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "trace_id": trace,
        });
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, json, body.to_string()).into_response();
        response.headers_mut().extend(header);
        response
    }
}

/// For what no route matches.
pub(crate) async fn no_route() -> Problem {
    Problem::not_found("resource")
}

/// For a method that a route has not.
pub(crate) async fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "this resource does not know the method",
    )
}
