//! What the integration tests share: telemetry kept in memory, servers and clients on loopback, an
//! OTLP receiver, and the table that the conventions are checked with.

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
pub mod grpc_service;
pub mod in_process;
pub mod keys;
#[cfg(doctest)]
pub mod migrate;
pub mod net;
pub mod otlp;
pub mod sampler;
pub mod server;
pub mod table;
pub mod telemetry;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
