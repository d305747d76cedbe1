//! What sets one series apart from another.

use std::borrow::Cow;

use http::StatusCode;
use tower_otel_core::End;
use tower_otel_semconv::error;

/// One combination of label values, as a new series is named by them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dimensions<'a> {
    /// A known method, or `_OTHER`.
    pub(crate) method: &'a str,
    /// The route that matched, on a server.
    pub(crate) route: Option<&'a str>,
    /// The target of a client, and on a server its own address where that is asked for.
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) scheme: &'static str,
    pub(crate) version: Option<&'static str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) unanswered: Option<Unanswered>,
    pub(crate) error_type: Option<&'static str>,
    /// Values of the caller's labels, in the order in which the layer was given them.
    pub(crate) own: &'a [OwnValue],
}

/// The value of a label of the caller's, where the exchange has one.
pub(crate) type OwnValue = Option<Cow<'static, str>>;

/// The path of a request that no route matched.
const UNMATCHED: &str = "unmatched";

/// What every label of the overflow series says.
pub(crate) const OVERFLOW: &str = "overflow";

/// Why there is no status.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Unanswered {
    Cancelled,
    Error,
    Panic,
    /// It was not told apart.
    Overflow,
}

impl Unanswered {
    pub(crate) fn by(end: End<'_>) -> Self {
        match end {
            End::Panicked => Self::Panic,
            End::Failed(_) => Self::Error,
            _ => Self::Cancelled,
        }
    }
}

impl<'a> Dimensions<'a> {
    /// A series of which nothing is known but the method.
    pub(crate) const fn of_method(method: &'a str) -> Self {
        Self {
            method,
            route: None,
            host: None,
            port: None,
            scheme: "",
            version: None,
            status: None,
            unanswered: None,
            error_type: None,
            own: &[],
        }
    }

    /// The route, or that there is none.
    pub(crate) fn route(&self) -> &'a str {
        self.route.unwrap_or(UNMATCHED)
    }

    /// The status that was sent, or why none was.
    pub(crate) fn status_label(&self) -> &str {
        match (&self.status, self.unanswered) {
            (Some(status), _) => status.as_str(),
            (None, Some(Unanswered::Overflow)) => OVERFLOW,
            (None, Some(Unanswered::Panic)) => error::PANIC,
            (None, Some(Unanswered::Error)) => "error",
            (None, Some(Unanswered::Cancelled) | None) => error::CANCELLED,
        }
    }
}
