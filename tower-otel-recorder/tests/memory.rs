//! The memory of a recorder whose exporter hangs, while clients send long paths.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    sync::{Arc, Barrier},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tower_otel_recorder::Recorder;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

const MEGABYTE: u64 = 1024 * 1024;

/// An exporter that waits for the end of the test.
#[derive(Debug)]
struct Hanging(Arc<Barrier>);

impl SpanExporter for Hanging {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        self.0.wait();
        Ok(())
    }
}

/// Returns how many bytes so many spans leave allocated.
fn allocated(spans: u64, span: impl Fn()) -> u64 {
    let end = Arc::new(Barrier::new(2));
    let recorder = Recorder::builder(Hanging(Arc::clone(&end)))
        .queue_size(usize::MAX)
        .delay(Duration::from_secs(3600))
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    let info = tracing::subscriber::with_default(subscriber, || {
        allocation_counter::measure(|| (0..spans).for_each(|_| span()))
    });
    // The first batch is full long before; the thread may not have run yet.
    while recorder.counts().exporting == 0 {
        std::thread::yield_now();
    }
    let counts = recorder.counts();
    assert_eq!(counts.queued + counts.exporting + counts.dropped, spans);
    assert_eq!((counts.queue_full, counts.failed), (0, 0));
    assert!(counts.queue_bytes_full > 0, "{counts:?}");
    // Nothing is exported any more: the exporter has one batch, and the rest is dropped.
    let result = recorder.shutdown(Duration::ZERO);
    assert!(result.is_err());
    end.wait();
    u64::try_from(info.bytes_current).unwrap()
}

/// The queue, one batch that the exporter has, and the buffer of the thread.
fn assert_bounded(bytes: u64) {
    assert!(bytes <= 18 * MEGABYTE + MEGABYTE, "{bytes}");
    // What the records hold counts, and not more.
    assert!(bytes >= 14 * MEGABYTE, "{bytes}");
}

#[test]
fn long_paths_and_headers_fill_the_bytes_of_the_queue_and_no_more() {
    let (path, user_agent) = ("p".repeat(60_000), "u".repeat(300_000));
    assert_bounded(allocated(24_000, || {
        drop(info_span!("GET", path, user_agent))
    }));
}

#[test]
fn events_and_attributes_of_handlers_count_as_well() {
    let text = "x".repeat(3_000);
    assert_bounded(allocated(24_000, || {
        info_span!("GET", path = "/users/7").in_scope(|| {
            for _ in 0..3 {
                info!(text, "event");
                let context = Context::current();
                let attribute = KeyValue::new("text", text.clone());
                context.span().set_attribute(attribute.clone());
                context.span().add_event("handler", vec![attribute]);
            }
        });
    }));
}

/// A context of a stranger with as much trace state as can be received.
fn stranger() -> SpanContext {
    let members = (0..32).map(|n| (format!("k{n:02}"), "v".repeat(256)));
    SpanContext::new(
        TraceId::from(7),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value(members).unwrap(),
    )
}

#[test]
fn the_trace_state_of_a_stranger_counts_as_well() {
    let stranger = stranger();
    assert_bounded(allocated(3_000, || {
        let _parent = Context::new()
            .with_remote_span_context(stranger.clone())
            .attach();
        drop(info_span!("GET", path = "/users/7"));
    }));
}

#[test]
fn the_trace_state_of_links_counts_as_well() {
    let stranger = stranger();
    assert_bounded(allocated(3_000, || {
        let span = info_span!("GET", path = "/users/7");
        for _ in 0..3 {
            span.in_scope(|| {
                Context::current()
                    .span()
                    .add_link(stranger.clone(), Vec::new())
            });
        }
    }));
}

#[test]
fn short_spans_count_with_all_that_a_record_holds() {
    assert_bounded(allocated(24_000, || {
        drop(info_span!("GET", path = "/users/7"))
    }));
}

#[test]
fn an_idle_queue_of_any_size_allocates_next_to_nothing() {
    for size in [2048, 16_777_216, usize::MAX] {
        // Its barrier is for one thread, and so blocks nothing.
        let exporter = Hanging(Arc::new(Barrier::new(1)));
        let mut recorder = None;
        let info = allocation_counter::measure(|| {
            let builder = Recorder::builder(exporter).queue_size(size);
            let built = builder.queue_bytes(usize::MAX).build().unwrap();
            let subscriber = tracing_subscriber::registry().with(built.layer());
            tracing::subscriber::with_default(subscriber, || drop(info_span!("span")));
            recorder = Some(built);
        });
        assert!(
            info.bytes_max < MEGABYTE,
            "{size}: {} bytes",
            info.bytes_max
        );
        recorder.unwrap().shutdown(Duration::from_secs(20)).unwrap();
    }
}
