//! Bounds in bytes: of a text, of a record, of a batch and of the queue.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod batches;
mod sizes;
mod spans;
mod texts;

#[path = "../support/mod.rs"]
mod support;
