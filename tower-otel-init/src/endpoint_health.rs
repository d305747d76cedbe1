//! The state of the way to a collector, and one warning for each change of it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::partial_success::Rejected;

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
            to: shown(to),
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

/// Where it is, without the credentials and the query that an address may hold.
fn shown(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_warning_names_the_collector_and_no_secret_of_its_address() {
        for (endpoint, named) in [
            ("http://localhost:4317", "http://localhost:4317"),
            (
                "https://me:secret@host:4318/v1/traces?key=secret",
                "https://host:4318",
            ),
            ("https://[::1]:4318?key=secret", "https://[::1]:4318"),
        ] {
            assert_eq!(shown(endpoint), named);
        }
    }
}
