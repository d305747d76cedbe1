//! The two headers of [W3C Trace Context, level 2](https://www.w3.org/TR/trace-context-2/), and that
//! of [W3C Baggage](https://www.w3.org/TR/baggage/), as bytes.
//!
//! Everything here is a total function: any input has an answer, and the answer to a malformed one
//! is `None`. Nothing here knows what a request or a current context is;
//! [`extract`](crate::extract) and [`inject`](crate::inject) do.

pub mod baggage;
pub mod traceparent;
pub mod tracestate;

use http::HeaderName;

/// The header that names the trace and the caller's span
/// ([specification](https://www.w3.org/TR/trace-context-2/#traceparent-header)).
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with what each tracing system on the way has to say
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-header)).
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The header with what a request says about itself to every service on its way
/// ([specification](https://www.w3.org/TR/baggage/#baggage-http-header-format)).
pub static BAGGAGE: HeaderName = HeaderName::from_static("baggage");
