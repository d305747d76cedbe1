//! The access log: one line for each exchange, however it ends, with every span backend.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod ends;
mod exchange;
mod log_lines;
mod options;
mod panics;
mod table;
