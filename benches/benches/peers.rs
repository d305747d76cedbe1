//! What the suite costs beside what others cost: builds and runs `benches/peers`.
//!
//! `cargo bench -p tower-otel-benches --bench peers --features peers [-- --quick] [-- --markdown]`
//!
//! That is a workspace of its own, with a lock file of its own: other crates need other versions of
//! OpenTelemetry and a newer Rust, and whoever builds this workspace with all of its features is to
//! have neither.

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
    // Killed by a signal, it has no code.
    exit(status.code().unwrap_or(1));
}
