//! Telemetry with the `tracing` subscriber of the application: `cargo run -p guide --bin own_subscriber`.

use std::time::Duration;

use tower_otel_init::Telemetry;
use tracing_subscriber::{Layer, filter::LevelFilter, fmt, prelude::*, registry};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (telemetry, layers) = Telemetry::builder("orders").layers()?;
    let lines = fmt::layer().with_filter(LevelFilter::INFO);
    registry().with(layers).with(lines).init();
    tracing::info!("{}", telemetry.summary());

    tracing::info_span!("import").in_scope(|| tracing::info!("orders imported"));
    telemetry.shutdown(Duration::from_secs(5))?;
    Ok(())
}
