//! The state of the exports to one endpoint. Each change of the state is logged once.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::endpoint::{origin, redact_urls};
use crate::partial_success::RejectedItems;
use crate::terminal::{fit, printable};

#[derive(Debug)]
pub(crate) struct EndpointHealth {
    /// The name of the exported items, in the plural.
    items: &'static str,
    /// The endpoint without credentials.
    endpoint: String,
    state: AtomicU8,
}

const HEALTHY: u8 = 0;
const REJECTING: u8 = 1;
const FAILING: u8 = 2;

impl EndpointHealth {
    pub(crate) fn new(items: &'static str, endpoint: &str) -> Self {
        Self {
            items,
            endpoint: origin(endpoint),
            state: AtomicU8::new(HEALTHY),
        }
    }

    #[cfg_attr(not(feature = "control"), allow(dead_code))]
    pub(crate) const fn items(&self) -> &'static str {
        self.items
    }

    /// Returns the result of the last export as one word.
    #[cfg_attr(not(feature = "control"), allow(dead_code))]
    pub(crate) fn state(&self) -> &'static str {
        match self.state.load(Relaxed) {
            HEALTHY => "working",
            REJECTING => "rejecting",
            _ => "failing",
        }
    }

    /// Records the result of an export. Logs a warning if it differs from the previous result.
    pub(crate) fn record(&self, result: &OTelSdkResult, rejected: &RejectedItems) {
        let Self {
            items,
            endpoint,
            state,
        } = self;
        let now = match result {
            Err(_) => FAILING,
            Ok(()) if rejected.count > 0 => REJECTING,
            Ok(()) => HEALTHY,
        };
        let before = state.swap(now, Relaxed);
        if before == now {
            return;
        }
        match result {
            Err(error) => {
                let error = cut(&redact_urls(&error.to_string()));
                tracing::warn!(
                    "export of {items} to {endpoint} failed: {error}; \
                     further failures are not logged until an export succeeds"
                );
            }
            Ok(()) if now == REJECTING => {
                let RejectedItems { count, message } = rejected;
                let message = redact_urls(message);
                tracing::warn!(
                    "{endpoint} rejected {count} of the {items} of a batch: {message}; \
                     further rejections are not logged until a batch is accepted"
                );
            }
            Ok(()) if before == FAILING => {
                tracing::warn!("export of {items} to {endpoint} works again");
            }
            Ok(()) => tracing::warn!("{endpoint} accepts all {items} again"),
        }
    }
}

/// Returns a text without control characters, cut to a maximum length for a log line.
pub(crate) fn cut(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    fit(&printable(text), MAX_CHARS).trim_end().to_owned()
}
