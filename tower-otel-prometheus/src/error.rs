//! The error of a recorder that cannot be set up.

use std::{error::Error, fmt};

/// The error of [`PrometheusBuilder::install`](crate::PrometheusBuilder::install) and
/// [`build`](crate::PrometheusBuilder::build). This call installed no recorder.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// The process already has a global recorder, which cannot be replaced.
    AlreadyInstalled,
    /// The bucket boundaries of a metric are empty, not finite or not in ascending order.
    Buckets {
        /// The name of the metric, as given.
        metric: String,
    },
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInstalled => {
                f.write_str(
                    "another metrics recorder is already installed in this process, and cannot be replaced; use that one. If \
                     tower-otel-init has installed it, `Telemetry::prometheus` returns it",
                )
            }
            Self::Buckets { metric } => {
                write!(
                    f,
                    "the bucket boundaries of `{metric}` are not valid (expected one or more finite ascending numbers)"
                )
            }
        }
    }
}

impl Error for InstallError {}
