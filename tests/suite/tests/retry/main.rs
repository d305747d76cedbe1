//! A client that retries: every attempt has its own span and parent id, and only the trace headers of
//! the request change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod attempts;
mod middleware;
mod requests;
mod server;
