//! The state of the exports to one endpoint, with one warning for each change.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::endpoint::{origin, redact_urls};
use crate::partial_success::RejectedItems;
use crate::terminal::{fit, printable};

#[derive(Debug)]
pub(crate) struct EndpointHealth {
    /// What is exported, in the plural.
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

    /// Returns the result of the last export in a word.
    #[cfg_attr(not(feature = "control"), allow(dead_code))]
    pub(crate) fn state(&self) -> &'static str {
        match self.state.load(Relaxed) {
            HEALTHY => "working",
            REJECTING => "rejecting",
            _ => "failing",
        }
    }

    /// Records the result of an export. Logs a warning if it differs from the one before.
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
                    "{endpoint} rejected {count} {items} of a batch: {message}; \
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

/// Returns a text without control characters, cut to a length that is fit for a log line.
pub(crate) fn cut(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    fit(&printable(text), MAX_CHARS).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    struct Panics;

    impl<S: tracing::Subscriber> Layer<S> for Panics {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            std::panic::panic_any("a layer fails");
        }
    }

    #[test]
    fn a_subscriber_that_panics_does_not_stop_the_exporter() {
        let health = EndpointHealth::new("metrics", "http://localhost:4317");
        let subscriber = tracing_subscriber::registry().with(Panics);
        tracing::subscriber::with_default(subscriber, || {
            let refused = Err(OTelSdkError::InternalFailure("no".to_owned()));
            health.record(&refused, &RejectedItems::default());
        });
        assert_eq!(health.state(), "failing");
    }
}
