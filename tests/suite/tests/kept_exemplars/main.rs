//! Exemplars of unsampled traces: only traces that keep rules select become exemplars.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod limits;
mod order;
mod setup;
