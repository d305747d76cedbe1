//! `Debug` and `Display` of every public type show no secret.
//!
//! The types are read from `api/`, so that a new public type without a row fails the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod layers;
mod public_items;
mod rules;
mod telemetry;
mod texts;
