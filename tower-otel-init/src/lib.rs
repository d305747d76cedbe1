//! Telemetry started in one line.

mod builder;
mod choice;
mod collector;
mod config;
mod console;
mod env;
mod error;
mod exports;
mod guard;
mod install;
mod lines;
mod link;
mod metrics;
mod otlp;
mod propagation;
#[cfg(feature = "logs")]
mod records;
mod resource;
mod sampler;
mod signal;
mod spans;
mod start;
mod style;
mod tally;
mod tree;

pub use builder::Builder;
pub use choice::{LogFormat, LogsExporter, MetricsExporter, Protocol, TracesExporter};
pub(crate) use config::Settings;
pub use env::Warning;
pub use error::InitError;
pub use guard::{Telemetry, Unfinished};
pub use install::Layers;
pub use sampler::Sampler;
pub use signal::shutdown_signal;
pub use tally::Dropped;

/// Starts traces, metrics and log lines of a service, and sends what is to be sent to this
/// collector, over gRPC unless `OTEL_EXPORTER_OTLP_PROTOCOL` says otherwise. All else is as
/// [`Telemetry::from_env`].
///
/// # Errors
///
/// As [`Telemetry::from_env`], and if the endpoint is no URL.
pub fn init_telemetry(service_name: &str, otlp_endpoint: &str) -> Result<Telemetry, InitError> {
    Telemetry::builder(service_name)
        .service_name(service_name)
        .endpoint(otlp_endpoint)
        .install()
}
