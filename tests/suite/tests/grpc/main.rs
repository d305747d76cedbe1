//! gRPC calls with a real tonic server and channel, recorded by both ends with every span backend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod calls;
mod drops;
mod kinds;
mod requests;
mod statuses;
