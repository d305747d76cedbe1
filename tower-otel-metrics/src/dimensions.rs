//! What sets one series apart from another.

use std::{borrow::Cow, hash::Hash};

use http::StatusCode;
use tower_otel_core::{End, semconv::error};

use crate::series::Query;

/// One combination of label values, borrowed from the exchange it describes.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
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

/// The same, kept.
#[derive(Debug)]
pub(crate) struct Key {
    method: Box<str>,
    route: Option<Box<str>>,
    host: Option<Box<str>>,
    port: Option<u16>,
    scheme: &'static str,
    version: Option<&'static str>,
    status: Option<StatusCode>,
    unanswered: Option<Unanswered>,
    error_type: Option<&'static str>,
    own: Box<[OwnValue]>,
}

impl Key {
    pub(crate) fn dimensions(&self) -> Dimensions<'_> {
        let Self {
            method,
            route,
            host,
            port,
            scheme,
            version,
            status,
            unanswered,
            error_type,
            own,
        } = self;
        Dimensions {
            method,
            route: route.as_deref(),
            host: host.as_deref(),
            port: *port,
            scheme,
            version: *version,
            status: *status,
            unanswered: *unanswered,
            error_type: *error_type,
            own,
        }
    }
}

impl Query for Dimensions<'_> {
    type Key = Key;

    fn is(&self, key: &Key) -> bool {
        *self == key.dimensions()
    }

    fn to_key(&self) -> Key {
        let Self {
            method,
            route,
            host,
            port,
            scheme,
            version,
            status,
            unanswered,
            error_type,
            own,
        } = *self;
        Key {
            method: method.into(),
            route: route.map(Into::into),
            host: host.map(Into::into),
            port,
            scheme,
            version,
            status,
            unanswered,
            error_type,
            own: own.into(),
        }
    }
}
