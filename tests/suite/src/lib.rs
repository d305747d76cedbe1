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
pub mod calls;
pub mod cart;
pub mod client;
pub mod in_process;
pub mod keys;
#[cfg(doctest)]
pub mod migrate;
pub mod net;
pub mod otlp;
pub mod sampler;
pub mod scene;
pub mod server;
pub mod table;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
