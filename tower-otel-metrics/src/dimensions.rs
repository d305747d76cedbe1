//! The label values of one series.

use http::StatusCode;
use tower_otel_core::End;
use tower_otel_semconv::error;

use crate::custom_labels::CustomValue;

/// One combination of label values. The labels of a new series are created from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dimensions<'a> {
    /// A known method, or `_OTHER`.
    pub(crate) method: &'a str,
    /// The matched route, on a server.
    pub(crate) route: Option<&'a str>,
    /// The host of the requested server. On a server, only with the option `server_address`.
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) scheme: &'static str,
    pub(crate) version: Option<&'static str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) no_response: Option<NoResponse>,
    pub(crate) error_type: Option<&'static str>,
    /// The values of custom labels, in the order of their addition.
    pub(crate) custom: &'a [CustomValue],
}

/// The label `path` of a request that matched no route.
const UNMATCHED: &str = "unmatched";

/// The value of every label of the overflow series.
pub(crate) const OVERFLOW: &str = "overflow";

/// The reason why there is no status.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum NoResponse {
    Cancelled,
    Error,
    Panic,
    /// The overflow series, which does not distinguish statuses.
    Overflow,
}

impl NoResponse {
    /// Returns the reason for an exchange that ended without a response.
    pub(crate) fn from_end(end: End<'_>) -> Self {
        match end {
            End::Panicked => Self::Panic,
            End::Failed(_) => Self::Error,
            _ => Self::Cancelled,
        }
    }
}

impl<'a> Dimensions<'a> {
    /// Creates dimensions with only a method.
    pub(crate) const fn new(method: &'a str) -> Self {
        Self {
            method,
            route: None,
            host: None,
            port: None,
            scheme: "",
            version: None,
            status: None,
            no_response: None,
            error_type: None,
            custom: &[],
        }
    }

    /// Returns the label `path`: the route, or `unmatched`.
    pub(crate) fn path_label(&self) -> &'a str {
        self.route.unwrap_or(UNMATCHED)
    }

    /// Returns the label `status`: the status code, or the reason why there is none.
    pub(crate) fn status_label(&self) -> &str {
        match (&self.status, self.no_response) {
            (Some(status), _) => status.as_str(),
            (None, Some(NoResponse::Overflow)) => OVERFLOW,
            (None, Some(NoResponse::Panic)) => error::PANIC,
            (None, Some(NoResponse::Error)) => "error",
            (None, Some(NoResponse::Cancelled) | None) => error::CANCELLED,
        }
    }
}
