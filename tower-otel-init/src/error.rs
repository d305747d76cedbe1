//! Why telemetry did not start.

use std::error::Error;
use std::fmt;
use std::io;

type Source = Box<dyn Error + Send + Sync>;

/// Why telemetry did not start. Nothing is left running then.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// It has been started in this process before.
    AlreadyStarted,
    /// The process has a `tracing` subscriber already.
    SubscriberInstalled,
    /// A setting of the code or a variable of this crate that cannot be followed.
    Value {
        /// The variable or the method of the builder.
        name: String,
        /// What it was set to.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// What was asked for is behind a feature of this crate.
    Feature {
        /// What was asked for.
        wanted: String,
        /// The feature that has it.
        feature: &'static str,
    },
    /// An exporter could not be made.
    Exporter(Source),
    /// The thread that exports could not be started.
    Thread(io::Error),
    /// The metrics recorder could not be installed.
    Recorder(Source),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted => f.write_str(
                "telemetry is already started in this process; keep the first `Telemetry`, and \
                 start it once",
            ),
            Self::SubscriberInstalled => f.write_str(
                "a tracing subscriber is already installed in this process; add the layers of \
                 `Builder::layers` to it, or let this crate install its own before anything else \
                 does",
            ),
            Self::Value {
                name,
                value,
                accepted,
            } => write!(f, "{name} is {value:?}, and accepted is {accepted}"),
            Self::Feature { wanted, feature } => write!(
                f,
                "{wanted} needs the feature `{feature}` of tower-otel-init, which is not enabled"
            ),
            Self::Exporter(error) => write!(f, "the exporter could not be made: {error}"),
            Self::Thread(_) => f.write_str("the thread that exports did not start"),
            Self::Recorder(error) => write!(f, "no metrics recorder: {error}"),
        }
    }
}

impl Error for InitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Exporter(error) | Self::Recorder(error) => Some(&**error),
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}
