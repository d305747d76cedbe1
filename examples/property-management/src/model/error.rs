//! Errors of model calls.

use std::{fmt, time::Duration};

use axum::http::StatusCode;
use tracing::Span;

use crate::problem::Problem;

/// A failed model call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ModelError {
    /// All attempts together took too long.
    Timeout,
    /// The provider returned 429, with this `Retry-After`.
    RateLimited(Option<Duration>),
    /// The provider cannot be reached, or returned this 5xx status.
    Unavailable(Option<StatusCode>),
    /// The provider returned another status, for example because of a wrong key or model.
    Rejected(StatusCode),
    /// The response is malformed, for this reason.
    Malformed(&'static str),
}

impl ModelError {
    /// Returns the label `outcome`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::Rejected(_) => "rejected",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Records the error in the current span and logs it.
    pub(super) fn record(&self) {
        let span = Span::current();
        span.record("otel.status_code", "ERROR");
        match self {
            Self::Rejected(status) | Self::Unavailable(Some(status)) => {
                span.record("error.type", status.as_str());
            }
            Self::RateLimited(_) => {
                span.record("error.type", StatusCode::TOO_MANY_REQUESTS.as_str());
            }
            _ => {
                span.record("error.type", self.outcome());
            }
        }
        tracing::warn!(error = %self, "model call failed");
    }
}

impl From<ModelError> for Problem {
    fn from(error: ModelError) -> Self {
        let bad_gateway = |detail| {
            Self::new(
                StatusCode::BAD_GATEWAY,
                "Bad response from another service",
                detail,
            )
        };
        match error {
            ModelError::Timeout => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "Another service is too slow",
                "the language model did not respond in time",
            ),
            ModelError::RateLimited(after) => Self::unavailable("the language model is busy")
                .retry_after(after.unwrap_or(Duration::from_secs(10))),
            ModelError::Unavailable(_) => Self::unavailable("the language model does not respond"),
            ModelError::Rejected(_) => bad_gateway("the language model rejected the request"),
            ModelError::Malformed(_) => {
                bad_gateway("the response of the language model is malformed")
            }
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::RateLimited(_) => f.write_str("rate limited"),
            Self::Unavailable(Some(status)) => write!(f, "unavailable, {status}"),
            Self::Unavailable(None) => f.write_str("unavailable"),
            Self::Rejected(status) => write!(f, "rejected, {status}"),
            Self::Malformed(reason) => write!(f, "malformed response: {reason}"),
        }
    }
}

impl std::error::Error for ModelError {}
