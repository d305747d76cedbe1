//! Errors of the start.

use std::error::Error;
use std::fmt;
use std::io;

type Source = Box<dyn Error + Send + Sync>;

/// The error of starting telemetry. Nothing is running after it.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// Telemetry is already started in this process.
    AlreadyStarted,
    /// The process already has a `tracing` subscriber.
    SubscriberInstalled,
    /// A setting in code, or a variable of this crate, has an invalid value, or requires a Cargo feature
    /// that is not enabled. The text names it, without credentials, and what is expected.
    InvalidSetting(String),
    /// An exporter could not be built.
    Exporter(Source),
    /// A thread could not be started.
    Thread(io::Error),
    /// The recorder of the `metrics` facade could not be installed.
    Recorder(Source),
}

impl InitError {
    /// Returns the error of a variable or a builder method whose value has no credentials.
    pub(crate) fn invalid_value(name: &str, value: &str, reason: &str) -> Self {
        Self::InvalidSetting(format!("{name}: {value:?} {reason}"))
    }

    /// Returns the error of a setting that requires this feature of the crate.
    pub(crate) fn missing_feature(setting: &str, feature: &str) -> Self {
        Self::InvalidSetting(format!(
            "{setting} requires the feature `{feature}` of tower-otel-init, which is not enabled"
        ))
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted => f.write_str(
                "telemetry is already started in this process; start it once and keep the \
                 `Telemetry`",
            ),
            Self::SubscriberInstalled => f.write_str(
                "a tracing subscriber is already installed in this process; add the layers of \
                 `TelemetryBuilder::layers` to it, or install telemetry before it",
            ),
            Self::InvalidSetting(problem) => write!(f, "{problem}; telemetry is not started"),
            Self::Exporter(error) => write!(f, "exporter could not be built: {error}"),
            Self::Thread(error) => write!(f, "telemetry thread could not be started: {error}"),
            Self::Recorder(error) => write!(
                f,
                "metrics recorder could not be installed: {error}. To keep another recorder, set METRICS_ENABLED=false; \
                 telemetry is not started"
            ),
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
