//! Shared code of the benches.
//!
//! Every arm runs in its own process, because a subscriber or a recorder belongs to the whole process. All
//! processes run concurrently and take short turns, in a random order for each round, so that other load
//! affects all of them. Arms are compared within a round.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc
)]

pub mod app;
pub mod arms;
pub mod budget;
pub mod cache_line;
pub mod client_arms;
pub mod collector;
pub mod compact_layer;
pub mod connections;
pub mod delivery;
pub mod encoded_request;
pub mod exchange;
pub mod export_arms;
pub mod exporting;
pub mod load;
pub mod minimal_spans;
pub mod recorded_counts;
pub mod report;
pub mod samples;
pub mod server;
pub mod service_times;
pub mod signals;
pub mod span_arms;
pub mod span_programs;
pub mod stats;
pub mod workers;
pub mod yardstick;
