//! A caller and two services: one trace exported over OTLP, and metrics of the same requests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod forwarded_traces;
mod one_trace;
mod services;
