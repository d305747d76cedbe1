//! The propagation headers of a request, located before extraction.

use http::{HeaderMap, HeaderValue};
use tower_otel_core::RequestInfo;
use tower_otel_semconv::single_header;

use crate::w3c::{BAGGAGE, TRACEPARENT, TRACESTATE};

/// The headers of a request, and those of them that propagate a context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocatedHeaders<'a> {
    /// All headers of the request.
    pub(crate) headers: &'a HeaderMap,
    /// The value of the `traceparent` header, or `None` if it is missing or has several lines.
    pub(crate) traceparent: Option<&'a HeaderValue>,
    /// `false` if there is no `tracestate` header.
    pub(crate) may_have_tracestate: bool,
    /// `false` if there is no `baggage` header.
    pub(crate) may_have_baggage: bool,
}

impl<'a> LocatedHeaders<'a> {
    /// Looks up `traceparent` and `tracestate`. `baggage` is looked up when it is needed.
    pub(crate) fn new(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            traceparent: single_header(headers, &TRACEPARENT),
            may_have_tracestate: headers.contains_key(&TRACESTATE),
            may_have_baggage: true,
        }
    }

    /// Uses the headers that [`RequestInfo`] has already located.
    #[inline]
    pub(crate) fn of(request: &RequestInfo<'a>) -> Self {
        let known = request.known_headers();
        Self {
            headers: request.headers(),
            traceparent: known.traceparent,
            may_have_tracestate: known.has_tracestate,
            may_have_baggage: known.has_baggage,
        }
    }

    /// Returns all lines of `tracestate`.
    pub(crate) fn tracestate(&self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self
            .may_have_tracestate
            .then(|| self.headers.get_all(&TRACESTATE));
        lines.into_iter().flatten().map(HeaderValue::as_bytes)
    }

    /// Returns whether there is a `baggage` header.
    pub(crate) fn has_baggage(&self) -> bool {
        self.may_have_baggage && self.headers.contains_key(&BAGGAGE)
    }
}
