//! Spans are recorded once, however they are entered and closed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod ends;
mod layers;
mod parents;
mod remote;

#[path = "../support/mod.rs"]
mod support;
