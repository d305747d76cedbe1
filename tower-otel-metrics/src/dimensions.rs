//! What sets one series apart from another.

use std::hash::Hash;

use http::StatusCode;
use tower_otel_core::End;

use crate::series::Query;

/// One combination of label values, borrowed from the exchange it describes.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Dimensions<'a> {
    /// A known method, or `_OTHER`.
    pub(crate) method: &'a str,
    /// The route on a server, the host on a client.
    pub(crate) place: Option<&'a str>,
    /// The port of the host on a client.
    pub(crate) port: Option<u16>,
    pub(crate) scheme: &'static str,
    pub(crate) version: Option<&'static str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) unanswered: Option<Unanswered>,
    pub(crate) error_type: Option<&'static str>,
}

/// The path of a request that no route matched.
const UNMATCHED: &str = "unmatched";

/// Why there is no status.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Unanswered {
    Cancelled,
    Error,
    Panic,
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
            place: None,
            port: None,
            scheme: "",
            version: None,
            status: None,
            unanswered: None,
            error_type: None,
        }
    }

    /// The place, or that there is none.
    pub(crate) fn place(&self) -> &str {
        self.place.unwrap_or(UNMATCHED)
    }

    /// The status that was sent, or why none was.
    pub(crate) fn status_label(&self) -> &str {
        match (&self.status, self.unanswered) {
            (Some(status), _) => status.as_str(),
            (None, Some(Unanswered::Panic)) => "panic",
            (None, Some(Unanswered::Error)) => "error",
            (None, Some(Unanswered::Cancelled) | None) => "cancelled",
        }
    }
}

/// The same, kept.
#[derive(Debug)]
pub(crate) struct Key {
    method: Box<str>,
    place: Option<Box<str>>,
    port: Option<u16>,
    scheme: &'static str,
    version: Option<&'static str>,
    status: Option<StatusCode>,
    unanswered: Option<Unanswered>,
    error_type: Option<&'static str>,
}

impl Key {
    pub(crate) fn dimensions(&self) -> Dimensions<'_> {
        let Self {
            method,
            place,
            port,
            scheme,
            version,
            status,
            unanswered,
            error_type,
        } = self;
        Dimensions {
            method,
            place: place.as_deref(),
            port: *port,
            scheme,
            version: *version,
            status: *status,
            unanswered: *unanswered,
            error_type: *error_type,
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
            place,
            port,
            scheme,
            version,
            status,
            unanswered,
            error_type,
        } = *self;
        Key {
            method: method.into(),
            place: place.map(Into::into),
            port,
            scheme,
            version,
            status,
            unanswered,
            error_type,
        }
    }
}
