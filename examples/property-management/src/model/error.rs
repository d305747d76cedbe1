//! How a call to the model fails.

use std::{fmt, time::Duration};

use axum::http::StatusCode;
use tracing::Span;

use crate::problem::Problem;

/// A call that brought no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ModelError {
    /// It took too long, all attempts together.
    Timeout,
    /// The provider has had enough of us for now.
    RateLimited(Option<Duration>),
    /// The provider cannot be reached, or says that it is broken.
    Unavailable(Option<StatusCode>),
    /// The provider does not want this request: a wrong key, a wrong model.
    Rejected(StatusCode),
    /// The answer is not one; why, in one word.
    Malformed(&'static str),
}

impl ModelError {
    /// The label `outcome`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::Rejected(_) => "rejected",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Into the current span, and a line about it.
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
        tracing::warn!(error = %self, "the model did not answer");
    }
}

impl From<ModelError> for Problem {
    fn from(error: ModelError) -> Self {
        let bad = |detail| {
            Self::new(
                StatusCode::BAD_GATEWAY,
                "Bad answer of another service",
                detail,
            )
        };
        match error {
            ModelError::Timeout => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "Another service is too slow",
                "the language model did not answer in time",
            ),
            ModelError::RateLimited(after) => Self::unavailable("the language model is busy")
                .retry_after(after.unwrap_or(Duration::from_secs(10))),
            ModelError::Unavailable(_) => Self::unavailable("the language model does not answer"),
            ModelError::Rejected(_) => bad("the language model refused the request"),
            ModelError::Malformed(_) => bad("the language model's answer makes no sense"),
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
            Self::Malformed(why) => write!(f, "malformed answer: {why}"),
        }
    }
}

impl std::error::Error for ModelError {}
