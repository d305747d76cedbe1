//! A service in a separate process, configured by variables and stopped by `SIGTERM`.
#![cfg(all(unix, feature = "grpc", feature = "http", feature = "prometheus"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery;
mod service;
mod shutdown;
mod variables;

#[cfg(feature = "tls")]
#[path = "../support/mod.rs"]
mod support;
