//! Warnings about variables with invalid values.

use std::fmt;

/// A variable with an invalid value, and the value used in its place.
///
/// The OpenTelemetry specification asks implementations to log a warning and to ignore such a value.
/// Each warning is logged when telemetry has started. [`Telemetry::warnings`](crate::Telemetry::warnings) returns them.
///
/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigWarning {
    /// The name of the variable.
    pub(crate) variable: String,
    /// The invalid value. Header values and credentials in URLs are omitted.
    pub(crate) value: String,
    /// The problem of the value, and the accepted values.
    pub(crate) reason: String,
    /// The value used in its place.
    pub(crate) fallback: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            value,
            reason,
            fallback,
        } = self;
        write!(f, "{variable}: {value:?} {reason}; using {fallback}")
    }
}
