//! Header names and codecs of [W3C Trace Context, level 2](https://www.w3.org/TR/trace-context-2/)
//! and [W3C Baggage](https://www.w3.org/TR/baggage/).
//!
//! The codecs work on bytes and return `None` for malformed input; no input makes them panic. For requests
//! and contexts use [`extract`](crate::extract) and [`inject`](crate::inject).

pub(crate) mod baggage;
mod hex;
pub mod traceparent;
pub(crate) mod tracestate;

use http::HeaderName;

/// The header with the trace id and the id of the caller's span
/// ([specification](https://www.w3.org/TR/trace-context-2/#traceparent-header)).
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with one member for each tracing system that has seen the request
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-header)).
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The header with application-defined properties of the request
/// ([specification](https://www.w3.org/TR/baggage/#baggage-http-header-format)).
pub static BAGGAGE: HeaderName = HeaderName::from_static("baggage");
