//! Encodes records as OTLP messages.

pub(crate) mod attributes;
// Only requests of the exporters have resources and scopes, and only their answers are read.
#[cfg_attr(not(any(feature = "grpc", feature = "http")), allow(dead_code))]
pub(crate) mod protobuf;
mod span;
