//! `OTEL_METRICS_EXPORTER=otlp,prometheus`: a scrape and a collector receive the same metrics.
#![cfg(all(feature = "grpc", feature = "http", feature = "prometheus"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[cfg(feature = "logs")]
mod credentials;
mod delivery;
mod failed_pushes;
mod samples;
mod service;
mod subscriber_panics;
