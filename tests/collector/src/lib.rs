//! A test OTLP collector over gRPC or HTTP, on its own thread and with faults, and a latency probe.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic
)]

mod collector;
pub mod faulty;
mod probe;
mod received;
mod service;
pub mod statistics;
mod transport;

pub use crate::{
    collector::{Collector, TIMEOUT, until},
    probe::Probe,
    received::{Behavior, Received},
};
