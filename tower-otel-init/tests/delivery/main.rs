//! Every span is delivered or counted as dropped, on every kind of runtime, over both protocols.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod collector_faults;
mod delivered;
#[cfg(feature = "logs")]
mod logs;
mod lost;
mod service;
