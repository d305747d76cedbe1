//! The layer of the recorder has a bounded number of allocations per span, and none for fields and events.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SpanData, SpanExporter},
};
use tower_otel_trace::Recorder;
use tracing::{field, info, info_span};
use tracing_subscriber::layer::SubscriberExt;

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// Returns the allocations per call of `span` in steady state.
fn allocations(sampler: Sampler, span: impl Fn()) -> f64 {
    const SPANS: u32 = 8;
    let recorder = Recorder::builder(Discard)
        .sampler_without_attributes(sampler)
        .delay(Duration::from_secs(3600))
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::with_default(subscriber, || {
        let spans = || (0..SPANS).for_each(|_| span());
        for _ in 0..20 {
            spans();
            recorder.flush(Duration::from_secs(20)).unwrap();
        }
        let info = allocation_counter::measure(spans);
        recorder.flush(Duration::from_secs(20)).unwrap();
        f64::from(u32::try_from(info.count_total).unwrap()) / f64::from(SPANS)
    })
}

fn plain() {
    info_span!("span").in_scope(|| ());
}

fn with_fields_and_events() {
    let span = info_span!(
        "span",
        otel.name = "GET /",
        otel.kind = "server",
        text = "a text",
        number = 7,
        display = %7,
        late = field::Empty,
    );
    span.in_scope(|| {
        info!(number = 7, text = "a text", "event");
        span.record("late", "a text");
    });
}

/// A sampled span allocates the state in the registry, and the span in the context, which needs two allocations.
#[test]
fn a_span_allocates_its_state_and_its_context() {
    assert!(allocations(Sampler::AlwaysOn, plain) <= 3.0);
}

#[test]
fn fields_and_events_allocate_nothing() {
    let plain = allocations(Sampler::AlwaysOn, plain);
    assert_eq!(
        allocations(Sampler::AlwaysOn, with_fields_and_events),
        plain
    );
}

#[test]
fn a_span_that_is_not_sampled_allocates_no_more() {
    for span in [plain, with_fields_and_events] {
        let allocations = allocations(Sampler::AlwaysOff, span);
        assert!(allocations <= 2.0, "{allocations}");
    }
}
