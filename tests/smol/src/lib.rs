//! What the tests on smol share: telemetry kept in memory, servers and clients on loopback.
//!
//! Everything of a test runs on its own thread: telemetry is set for the thread, and nothing has
//! to be `Send`.

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
pub mod scene;
