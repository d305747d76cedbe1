//! Shared code of the campaigns, which are long load and fault tests. By default each campaign is short. Environment variables
//! set its length. `docs/reliability.md` has the commands.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    missing_docs
)]

pub mod app;
pub mod attack;
pub mod counts;
pub mod ledger;
pub mod pipeline;
pub mod process;
pub mod rng;
pub mod signals;

use std::time::{Duration, Instant};

/// Returns the number in an environment variable, or the default.
pub fn env_number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| {
            panic!("{name}: {value:?} is not a number (expected a whole number)")
        }),
        Err(_) => default,
    }
}

/// Waits up to a minute until a condition is true.
pub async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
