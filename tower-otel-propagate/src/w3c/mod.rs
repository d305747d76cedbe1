//! The two headers of [W3C Trace Context, level 2](https://www.w3.org/TR/trace-context-2/), as
//! bytes.
//!
//! Everything here is a total function: any input has an answer, and the answer to a malformed one
//! is `None`. Nothing here knows what a request or a current context is;
//! [`extract`](crate::extract) and [`inject`](crate::inject) do.

pub mod traceparent;
pub mod tracestate;

use http::HeaderName;

/// The header that names the trace and the caller's span
/// ([specification](https://www.w3.org/TR/trace-context-2/#traceparent-header)).
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with what each tracing system on the way has to say
/// ([specification](https://www.w3.org/TR/trace-context-2/#tracestate-header)).
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
