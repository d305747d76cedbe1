use std::error::Error;
use std::fmt;
use std::io;

/// Why a recorder could not be set up. Nothing is installed then.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstallError {
    /// The process already has a global recorder, and it cannot be replaced.
    AlreadyInstalled,
    /// The boundaries given for this metric are no buckets: none at all, not in ascending order,
    /// or not finite.
    Buckets {
        /// The name the boundaries were given for.
        metric: String,
    },
    /// The upkeep thread could not be started.
    Upkeep(io::Error),
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
                    "the bucket boundaries of `{metric}` must be finite and ascending, at least one"
                )
            }
            Self::Upkeep(_) => f.write_str("the upkeep thread of the metrics did not start"),
        }
    }
}

impl Error for InstallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Upkeep(error) => Some(error),
            Self::AlreadyInstalled | Self::Buckets { .. } => None,
        }
    }
}
