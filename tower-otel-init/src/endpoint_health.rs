//! The state of the exports to one endpoint. Each change of the state is logged once.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use opentelemetry_sdk::error::OTelSdkResult;

use crate::endpoint::{origin, redact_urls};
use crate::otlp_config::OtlpConfig;
use crate::partial_success::RejectedItems;
use crate::secrets::Secrets;
use crate::terminal::{fit, printable};
use crate::unwind;

#[derive(Debug)]
pub(crate) struct EndpointHealth {
    /// The name of the exported items, in the plural.
    items: &'static str,
    /// The endpoint without credentials.
    endpoint: String,
    secrets: Secrets,
    state: AtomicU8,
}

const HEALTHY: u8 = 0;
const REJECTING: u8 = 1;
const FAILING: u8 = 2;

impl EndpointHealth {
    pub(crate) fn new(items: &'static str, otlp: &OtlpConfig) -> Self {
        Self {
            items,
            endpoint: origin(&otlp.endpoint),
            secrets: Secrets::new(&otlp.headers),
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

    /// Records the result of an export. Logs a warning if it differs from the previous result. A panic of the subscriber is ignored.
    pub(crate) fn record(&self, result: &OTelSdkResult, rejected: &RejectedItems) {
        let now = match result {
            Err(_) => FAILING,
            Ok(()) if rejected.count > 0 => REJECTING,
            Ok(()) => HEALTHY,
        };
        let before = self.state.swap(now, Relaxed);
        if before != now {
            unwind::catch(|| self.log_change(before, now, result, rejected));
        }
    }

    fn log_change(&self, before: u8, now: u8, result: &OTelSdkResult, rejected: &RejectedItems) {
        let Self {
            items, endpoint, ..
        } = self;
        match result {
            Err(error) => {
                let error = self.log_text(&error.to_string());
                tracing::warn!(
                    "export of {items} to {endpoint} failed: {error}; \
                     further failures are not logged until an export succeeds"
                );
            }
            Ok(()) if now == REJECTING => {
                let RejectedItems { count, message } = rejected;
                let message = self.log_text(message);
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

    /// Returns a text of an error or of the collector for a log line: without credentials and control characters, and cut.
    pub(crate) fn log_text(&self, text: &str) -> String {
        const MAX_CHARS: usize = 300;
        let text = redact_urls(&self.secrets.redact(text));
        fit(&printable(&text), MAX_CHARS).trim_end().to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use std::time::Duration;

    use opentelemetry_sdk::error::OTelSdkError;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;
    use crate::options::Protocol;

    fn otlp() -> OtlpConfig {
        OtlpConfig {
            protocol: Protocol::Grpc,
            endpoint: "http://localhost:4317".to_owned(),
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
            gzip: false,
            certificate: None,
        }
    }

    #[test]
    fn a_text_of_the_collector_has_no_credentials_of_a_url() {
        let health = EndpointHealth::new("metrics", &otlp());
        let text = health.log_text("no route to http://me:c4n4ry@host:4318/c4n4ry?key=c4n4ry");
        assert!(text.contains("http://host:4318"), "{text}");
        assert!(!text.contains("c4n4ry"), "{text}");
    }

    struct Panics;

    impl<S: tracing::Subscriber> Layer<S> for Panics {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            panic!("a layer fails");
        }
    }

    #[test]
    fn a_subscriber_that_panics_does_not_stop_the_exporter() {
        let health = EndpointHealth::new("metrics", &otlp());
        let subscriber = tracing_subscriber::registry().with(Panics);
        tracing::subscriber::with_default(subscriber, || {
            let refused = Err(OTelSdkError::InternalFailure("no".to_owned()));
            health.record(&refused, &RejectedItems::default());
        });
        assert_eq!(health.state(), "failing");
    }
}
