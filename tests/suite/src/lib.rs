//! Helpers of the integration tests: in-memory telemetry, servers and clients on loopback, an OTLP
//! receiver, and tables of expected attributes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    missing_docs
)]

pub mod backend;
pub mod client;
pub mod grpc_calls;
pub mod grpc_metrics;
pub mod grpc_service;
pub mod in_process;
pub mod keys;
#[cfg(doctest)]
pub mod migrate;
pub mod net;
pub mod otlp;
pub mod response;
pub mod sampler;
pub mod server;
pub mod table;
pub mod telemetry;

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
