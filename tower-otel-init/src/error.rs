//! The errors of starting telemetry.

use std::error::Error;
use std::fmt;
use std::io;

type Source = Box<dyn Error + Send + Sync>;

/// The error of starting telemetry. After an error, no part of telemetry is running.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Telemetry is already started in this process, or in the parent before it forked this process.
    #[error(
        "telemetry is already started in this process, or in its parent before the fork; start it once and keep the `Telemetry`"
    )]
    AlreadyStarted,
    /// The process already has a `tracing` subscriber.
    #[error(
        "a tracing subscriber is already installed in this process; add the layers of \
         `TelemetryBuilder::layers` to it, or install telemetry before it"
    )]
    SubscriberInstalled,
    /// A setting in code, or a variable of this crate, has an invalid value, or requires a Cargo feature
    /// that is not enabled. The text names the setting, its value without credentials, and the accepted values.
    #[error("{0}; telemetry is not started")]
    InvalidSetting(String),
    /// An exporter could not be built, for example because it refuses the endpoint or the timeout.
    #[error("an exporter could not be built: {0}; telemetry is not started")]
    Exporter(#[source] Source),
    /// A thread could not be started.
    #[error("a thread of telemetry could not be started: {0}; telemetry is not started")]
    Thread(#[source] io::Error),
    /// The recorder of the `metrics` facade could not be installed.
    #[error(
        "the metrics recorder could not be installed: {0}. To keep another recorder, set METRICS_ENABLED=false; \
         telemetry is not started"
    )]
    Recorder(#[source] Source),
}

impl fmt::Debug for InitError {
    /// Formats the error like `Display`, because Rust prints an error that `main` returns with `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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
