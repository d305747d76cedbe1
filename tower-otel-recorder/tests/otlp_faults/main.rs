//! A collector that misbehaves in any way: over gRPC and HTTP, every span is delivered or counted, in time.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod answers;
mod credentials;
mod protocols;
mod sizes;
mod waits;

#[path = "../support/mod.rs"]
mod support;
