//! A subscriber that panics does not end the export thread.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tower_otel_recorder::Recorder;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::support::{LONG, build, record};

#[derive(Debug)]
struct Failing;

impl SpanExporter for Failing {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("no connection".to_owned()))
    }
}

struct Panicking;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Panicking {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        panic!("the subscriber");
    }
}

#[test]
fn a_subscriber_that_panics_does_not_end_the_export_thread() {
    let subscriber = tracing_subscriber::registry().with(Panicking);
    let installed = tracing::subscriber::set_global_default(subscriber);
    assert!(installed.is_ok());
    let recorder = build(Recorder::builder(Failing));
    for turn in 1..=2 {
        record(&recorder, 3);
        let result = recorder.flush(LONG);
        let is_failure = matches!(&result, Err(OTelSdkError::InternalFailure(text)) if text.contains("no connection"));
        assert!(is_failure, "{result:?}");
        let counts = recorder.counts();
        assert_eq!((counts.failed, counts.dropped), (3 * turn, 0));
    }
}
