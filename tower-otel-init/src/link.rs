//! The state of the way to a collector, and one warning for each change of it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::rejections::Rejected;

#[derive(Debug)]
pub(crate) struct Link {
    what: &'static str,
    to: String,
    state: AtomicU8,
}

const WORKS: u8 = 0;
const REJECTS: u8 = 1;
const DOWN: u8 = 2;

impl Link {
    pub(crate) fn new(what: &'static str, to: &str) -> Self {
        Self {
            what,
            to: to.to_owned(),
            state: AtomicU8::new(WORKS),
        }
    }

    /// Takes note of an export.
    pub(crate) fn note(&self, result: &OTelSdkResult, rejected: &Rejected) {
        let Self { what, to, state } = self;
        let now = match result {
            Err(_) => DOWN,
            Ok(()) if rejected.count > 0 => REJECTS,
            Ok(()) => WORKS,
        };
        let before = state.swap(now, Relaxed);
        if before == now {
            return;
        }
        match result {
            Err(error) => tracing::warn!(
                "{what} cannot be sent to {to}, and are lost until they can: {error}"
            ),
            Ok(()) if now == REJECTS => {
                let Rejected { count, reason } = rejected;
                tracing::warn!("{to} rejects some {what}, {count} of the last batch: {reason}");
            }
            Ok(()) if before == DOWN => tracing::warn!("{what} can be sent to {to} again"),
            Ok(()) => tracing::warn!("{to} takes all {what} again"),
        }
    }
}
