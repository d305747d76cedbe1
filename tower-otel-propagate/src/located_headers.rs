//! The propagation headers of a request, located before extraction.

use http::{HeaderMap, HeaderValue};
use tower_otel_semconv::single_header;

use crate::w3c::{BAGGAGE, TRACEPARENT, TRACESTATE};

/// The headers of a request and the position of those that propagate a context.
///
/// For callers that have already walked over the header map. Extraction from it has the same result
/// as extraction from the header map.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct LocatedHeaders<'a> {
    /// All headers of the request.
    pub headers: &'a HeaderMap,
    /// The value of the `traceparent` header, or `None` if it is missing or has several lines.
    pub traceparent: Option<&'a HeaderValue>,
    /// `false` if there is no `tracestate` header.
    pub may_have_tracestate: bool,
    /// `false` if there is no `baggage` header.
    pub may_have_baggage: bool,
}

impl<'a> LocatedHeaders<'a> {
    /// Looks up `traceparent` and `tracestate`. `baggage` is looked up when it is needed.
    pub fn new(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            traceparent: single_header(headers, &TRACEPARENT),
            may_have_tracestate: headers.contains_key(&TRACESTATE),
            may_have_baggage: true,
        }
    }

    /// Returns all lines of `tracestate`.
    pub(crate) fn tracestate(&self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self
            .may_have_tracestate
            .then(|| self.headers.get_all(&TRACESTATE));
        lines.into_iter().flatten().map(HeaderValue::as_bytes)
    }

    /// Whether there is a `baggage` header.
    pub(crate) fn has_baggage(&self) -> bool {
        self.may_have_baggage && self.headers.contains_key(&BAGGAGE)
    }
}
