//! Shared code of the tests on smol: telemetry in memory, servers and clients on loopback.
//!
//! A test runs on one thread. Telemetry is installed for this thread, and no value must be `Send`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    missing_docs
)]

pub mod net;
pub mod telemetry;
