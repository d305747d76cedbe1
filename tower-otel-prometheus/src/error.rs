//! The error of setting up a recorder.

use std::{error::Error, fmt, io};

/// The reason a recorder was not set up. No recorder is installed then.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// The process already has a global recorder, which cannot be replaced.
    AlreadyInstalled,
    /// The bucket boundaries of a metric are empty, not finite or not ascending.
    Buckets {
        /// The name of the metric.
        metric: String,
    },
    /// The upkeep thread was not started.
    UpkeepThread(io::Error),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInstalled => {
                f.write_str("another metrics recorder is already installed in this process")
            }
            Self::Buckets { metric } => {
                write!(
                    f,
                    "the bucket boundaries of `{metric}` are not valid (expected one or more finite ascending numbers)"
                )
            }
            Self::UpkeepThread(_) => {
                f.write_str("the upkeep thread of the metrics was not started")
            }
        }
    }
}

impl Error for InstallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::UpkeepThread(error) => Some(error),
            Self::AlreadyInstalled | Self::Buckets { .. } => None,
        }
    }
}
