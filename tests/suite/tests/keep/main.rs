//! Keep rules over sockets: the traces of a server, of a client and of jobs that a collector receives, and the traces that
//! `/metrics` has as exemplars.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod rules;
mod setup;
mod sources;
