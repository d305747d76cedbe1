//! Failures and drops: what is logged and returned, and no credentials in it.
//!
//! The export thread logs to the global subscriber, so one test logs.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tower_otel_recorder::Recorder;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::support::{LONG, Memory, build, event_text, record, start, wait_until};

/// An exporter that fails with a password in its error.
#[derive(Debug)]
struct Failing {
    #[allow(dead_code, reason = "only for Debug")]
    authorization: &'static str,
}

impl Failing {
    const fn new() -> Self {
        Self {
            authorization: "s3cr3t",
        }
    }

    fn failure() -> OTelSdkResult {
        let error = "error sending request for url (http://me:s3cr3t@collector:4318/)";
        Err(OTelSdkError::InternalFailure(error.to_owned()))
    }
}

impl SpanExporter for Failing {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Self::failure()
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Self::failure()
    }
}

fn assert_cleaned(result: OTelSdkResult) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains("http://collector:4318/"), "{error}");
    assert!(!error.contains("s3cr3t"), "{error}");
}

#[test]
fn a_failure_is_returned_without_credentials() {
    let recorder = build(Recorder::builder(Failing::new()));
    record(&recorder, 1);
    assert_cleaned(recorder.flush(LONG));
    // No span waits: the exporter's shutdown fails.
    assert_cleaned(recorder.shutdown(LONG));
}

#[test]
fn the_debug_text_of_a_builder_has_nothing_of_the_exporter() {
    let text = format!("{:?}", Recorder::builder(Failing::new()).queue_size(77));
    assert!(text.contains("spans: 77"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

/// Stores the messages of the recorder's warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// The warnings about a full queue, with their fields.
    fn about_a_full_queue(&self) -> Vec<String> {
        let warnings = self.0.lock().unwrap();
        let full = warnings.iter().filter(|text| text.contains("was full"));
        full.cloned().collect()
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(event_text(event));
    }
}

#[test]
fn a_full_queue_is_logged_and_spans_that_end_after_the_shutdown_are_not() {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    for queue_is_full in [false, true] {
        let memory = Memory::new(false);
        let builder = Recorder::builder(memory.clone());
        let recorder = build(builder.queue_size(4).batch_size(4));
        let open = start(&recorder, "test");
        record(&recorder, 4);
        memory.wait_for_export();
        if queue_is_full {
            record(&recorder, 6);
        }
        std::thread::scope(|scope| {
            let shutdown = scope.spawn(|| recorder.shutdown(LONG));
            wait_until("the shutdown", || {
                let flush = recorder.flush(Duration::ZERO);
                matches!(flush, Err(OTelSdkError::AlreadyShutdown))
            });
            drop(open);
            memory.open();
            shutdown.join().unwrap().unwrap();
        });
        let dropped = if queue_is_full { 3 } else { 1 };
        assert_eq!(recorder.counts().dropped, dropped);
        let logged = warnings.about_a_full_queue();
        assert_eq!(logged.len(), usize::from(queue_is_full), "{logged:#?}");
    }
}
