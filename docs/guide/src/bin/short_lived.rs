//! A function that is frozen between its calls: `cargo run -p guide --bin short_lived`.
//!
//! Each line of the standard input is a call.

use std::{error::Error, io, time::Duration};

use tower_otel_init::Telemetry;

#[tracing::instrument]
fn handle(event: &str) -> usize {
    event.len()
}

fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = Telemetry::from_env("resize")?;
    for event in io::stdin().lines() {
        let answer = handle(&event?);
        // The process may be frozen after the answer, so the spans are exported before it.
        if let Err(error) = telemetry.flush(Duration::from_secs(2)) {
            eprintln!("spans are not exported: {error}");
        }
        println!("{answer}");
    }
    Ok(())
}
