//! Long-lived streams and upgraded connections over sockets: how their ends are recorded in spans and metrics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod connections;
mod counts;
mod server;
mod streams;
