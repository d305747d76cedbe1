//! The state of the way to a collector, and one warning for each change of it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;

#[derive(Debug)]
pub(crate) struct Link {
    what: &'static str,
    to: String,
    down: AtomicBool,
}

impl Link {
    pub(crate) fn new(what: &'static str, to: &str) -> Self {
        Self {
            what,
            to: to.to_owned(),
            down: AtomicBool::new(false),
        }
    }

    /// Takes note of an export.
    pub(crate) fn note(&self, result: &OTelSdkResult) {
        let Self { what, to, down } = self;
        match result {
            Err(error) if !down.swap(true, Relaxed) => {
                tracing::warn!(
                    "{what} cannot be sent to {to}, and are lost until they can: {error}"
                );
            }
            Ok(()) if down.swap(false, Relaxed) => {
                tracing::warn!("{what} can be sent to {to} again");
            }
            _ => {}
        }
    }
}
