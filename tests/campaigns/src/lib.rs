//! What the campaigns share. Each is a test that is short by default and as long as its variables
//! say; `docs/reliability.md` has the commands.

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
pub mod dice;
pub mod ledger;
pub mod pipeline;
pub mod process;
pub mod signals;
pub mod telling;

use std::time::{Duration, Instant};

/// The number in a variable of the environment, or the short one.
pub fn setting(name: &str, short: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {value:?}, and has to be a whole number")),
        Err(_) => short,
    }
}

/// Waits for what the servers have still to do.
pub async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: it did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
