//! Functions of the application that panic: the exchange ends as `panic` in span and metrics, and the
//! panic reaches the caller.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod buffer;
mod callback;
mod case;
mod grpc;
mod layers;
mod reqwest;
