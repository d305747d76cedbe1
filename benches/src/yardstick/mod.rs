//! Yardsticks: layers written by hand for one purpose, without options. They show what a service pays at least for spans and
//! metrics of the same kind.
//!
//! They omit events, links, sampling, filters, peers, forwarded headers and limits, and export nothing.

#![allow(
    clippy::vec_box,
    reason = "a record moves between lists without being copied"
)]

pub mod count;
pub mod counts;
pub mod exchange;
pub mod queue;
pub mod record;
pub mod traceparent;
pub mod tracing_span;
