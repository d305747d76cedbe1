//! Compares the cost of the suite with other crates: builds and runs `benches/peers`.
//!
//! `cargo bench -p tower-otel-benches --bench peers --features peers [-- --quick] [-- --markdown]`
//!
//! `benches/peers` is a separate workspace with its own lock file, because the other crates need other
//! versions of OpenTelemetry and a newer Rust.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    env,
    process::{Command, exit},
};

fn main() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml");
    let status = Command::new(cargo)
        .args(["run", "--locked", "--release", "--manifest-path", manifest])
        .arg("--")
        .args(env::args_os().skip(1))
        .status()
        .unwrap();
    // A process killed by a signal has no exit code.
    exit(status.code().unwrap_or(1));
}
