//! Encodes records as OTLP messages.

pub(crate) mod attributes;
// Without an exporter no resources and scopes are written and no answers are read.
#[cfg_attr(not(any(feature = "grpc", feature = "http")), allow(dead_code))]
pub(crate) mod protobuf;
mod span;
