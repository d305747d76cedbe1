//! A process that forks while it records. The child must not wait for threads that only its parent has, and the parent must
//! lose no telemetry. It is a program that `tests/fork.rs` runs, because a test has other threads, whose locks a child inherits.
//!
//! ```console
//! cargo run -p fork-tests -- recorder drop
//! ```

#[cfg(unix)]
mod forks;
#[cfg(unix)]
mod process;

fn main() {
    #[cfg(unix)]
    forks::run();
}
