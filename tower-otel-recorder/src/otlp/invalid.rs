//! The errors of options.

use std::io;

/// Returns the error of an invalid option.
pub(crate) fn invalid(reason: &str) -> io::Error {
    let text = format!("OTLP exporter: {reason}; no recorder is started");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
