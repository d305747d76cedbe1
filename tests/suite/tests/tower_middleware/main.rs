//! Middleware of tower around and inside of the layers, over HTTP and gRPC: every exchange ends once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod clients;
mod grpc;
mod servers;
mod stack;
