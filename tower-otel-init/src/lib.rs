//! Telemetry started in one line.

mod choice;
mod config;
mod env;
mod error;
mod otlp;
mod resource;
mod sampler;

pub use choice::{LogFormat, LogsExporter, MetricsExporter, Protocol, TracesExporter};
pub(crate) use config::Settings;
pub use env::Warning;
pub use error::InitError;
pub use sampler::Sampler;
