//! Which series gRPC calls create: known methods only on a server, at most the limit, equal for both
//! backends, and separate from the series of HTTP requests on the same port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod calls;
mod http;
mod known_methods;
mod limit;
mod meter;
mod options;
