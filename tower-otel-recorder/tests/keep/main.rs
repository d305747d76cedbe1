//! Traces that are not sampled are exported if a keep rule applies to their local root.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod limits;
mod panics;
mod rules;
mod scene;
mod whole_traces;

#[path = "../support/mod.rs"]
mod support;
