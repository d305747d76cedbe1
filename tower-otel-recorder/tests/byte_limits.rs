//! Bounds in bytes: of a text, of a record, of a batch and of the queue.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::{
    fmt::{self, Debug},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use opentelemetry::{
    Array, Context, KeyValue, Value,
    trace::{Span, SpanContext, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SpanData, SpanExporter, SpanLimits},
};
use tower_otel_recorder::{Recorder, RecorderSpanExt};
use tracing::{field, info, info_span};
use tracing_subscriber::{Layer, layer::SubscriberExt};

use crate::support::{LONG, Memory, Scene, build, start};

/// What a collector accepts at most.
const COLLECTOR: usize = 4 << 20;

/// What a record holds at most by default.
const RECORD: usize = 64 << 10;

fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| text.as_str().len()).sum(),
        Value::Array(Array::I64(numbers)) => 8 * numbers.len(),
        _ => 8,
    }
}

fn attributes_size(attributes: &[KeyValue]) -> usize {
    let size =
        |attribute: &KeyValue| 8 + attribute.key.as_str().len() + value_size(&attribute.value);
    attributes.iter().map(size).sum()
}

/// About as many bytes as a span has in OTLP.
fn size(span: &SpanData) -> usize {
    let events = span.events.iter();
    let events = events.map(|event| 16 + event.name.len() + attributes_size(&event.attributes));
    let links = span.links.iter();
    let links = links.map(|link| 40 + attributes_size(&link.attributes));
    let description = match &span.status {
        Status::Error { description } => description.len(),
        _ => 0,
    };
    let size = 100 + span.name.len() + description + attributes_size(&span.attributes);
    size + events.sum::<usize>() + links.sum::<usize>()
}

/// An exporter that refuses batches that a collector refuses.
#[derive(Clone, Debug)]
struct Collector {
    spans: Memory,
    largest: Arc<AtomicUsize>,
}

impl Collector {
    fn new() -> Self {
        Self {
            spans: Memory::new(true),
            largest: Arc::default(),
        }
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let size = batch.iter().map(size).sum();
        self.largest.fetch_max(size, SeqCst);
        if size > COLLECTOR {
            let error = format!("{size} bytes are too many");
            return Err(OTelSdkError::InternalFailure(error));
        }
        self.spans.export(batch).await
    }
}

#[test]
fn requests_with_long_paths_do_not_lose_the_spans_of_others() {
    let collector = Collector::new();
    let recorder = build(Recorder::builder(collector.clone()).queue_size(4096));
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::with_default(subscriber, || {
        let (path, user_agent) = ("p".repeat(60_000), "u".repeat(300_000));
        for n in 0..2_000 {
            if n % 30 == 0 {
                drop(info_span!("hostile", path, user_agent));
            }
            drop(info_span!(
                "honest",
                path = "/users/7",
                user_agent = "curl/8.5.0"
            ));
        }
    });
    let _ = recorder.flush(LONG);
    let spans = collector.spans.spans();
    let honest = spans.iter().filter(|span| span.name == "honest").count();
    assert_eq!(honest, 2_000, "{:?}", recorder.counts());
    assert_eq!(spans.len(), 2_067);
}

/// The value of the only attribute with this key.
fn value(attributes: &[KeyValue], key: &str) -> String {
    let mut found = attributes
        .iter()
        .filter(|attribute| attribute.key.as_str() == key);
    match (found.next(), found.next()) {
        (Some(attribute), None) => attribute.value.as_str().into_owned(),
        _ => panic!("expected one attribute {key}: {attributes:?}"),
    }
}

/// A megabyte of characters of two bytes.
fn megabyte() -> String {
    "\u{e9}".repeat(512 << 10)
}

fn cut() -> String {
    "\u{e9}".repeat(4096)
}

#[test]
fn a_megabyte_of_text_is_cut_to_4096_characters_wherever_it_is() {
    #[derive(Debug)]
    struct Long(#[allow(dead_code, reason = "only for Debug")] String);

    let scene = Scene::built(
        |builder| builder.record_bytes(1 << 20),
        |layer| layer.boxed(),
    );
    let long = megabyte();
    let error: Box<dyn std::error::Error + Send + Sync> = long.clone().into();
    let error = &*error as &(dyn std::error::Error + 'static);
    let span = info_span!(
        "span",
        path = long,
        display = %long,
        debug = ?Long(long.clone()),
        late = field::Empty,
        error,
        otel.name = long,
        otel.status_code = "ERROR",
        otel.status_description = long,
    );
    span.record("late", &*long);
    span.set_attribute("set", long.clone());
    span.in_scope(|| {
        info!(path = long, "{long}");
        Context::current()
            .span()
            .set_attribute(KeyValue::new("handler", long.clone()));
    });
    drop(span);
    let spans = scene.spans();
    let [span] = &*spans else { panic!("{spans:?}") };
    for key in [
        "path",
        "display",
        "late",
        "error",
        "exception.message",
        "set",
        "handler",
    ] {
        assert!(value(&span.attributes, key) == cut(), "{key}");
    }
    let debug = value(&span.attributes, "debug");
    assert!(debug.starts_with("Long(\"") && debug.chars().count() == 4096);
    assert!(span.name == cut());
    assert!(span.status == Status::error(cut()));
    let [event] = &*span.events.events else {
        panic!("{:?}", span.events);
    };
    assert!(event.name == cut());
    assert!(value(&event.attributes, "path") == cut());
}

#[test]
fn the_length_of_a_text_is_an_option_and_counts_characters() {
    let scene = Scene::built(
        |builder| builder.text_length(3),
        |layer| Box::new(layer.location(false).target(false)),
    );
    for (text, recorded) in [
        ("", ""),
        ("abc", "abc"),
        ("abcd", "abc"),
        (
            "\u{20ac}\u{20ac}\u{20ac}\u{20ac}",
            "\u{20ac}\u{20ac}\u{20ac}",
        ),
        ("a\u{1f600}bc", "a\u{1f600}b"),
    ] {
        drop(info_span!("span", text, display = %text, address = %"192.0.2.7"));
        let span = scene.spans().pop().unwrap();
        assert_eq!(value(&span.attributes, "text"), recorded);
        assert_eq!(value(&span.attributes, "display"), recorded);
        assert_eq!(value(&span.attributes, "address"), "192");
        assert_eq!(span.dropped_attributes_count, 0);
    }
}

/// Writes 100 MB, unless it is stopped.
struct Endless<'a> {
    written: &'a AtomicUsize,
    ignores_errors: bool,
}

impl Debug for Endless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobyte = "x".repeat(1_000);
        for _ in 0..100_000 {
            let result = f.write_str(&kilobyte);
            if !self.ignores_errors {
                result?;
            }
            self.written.fetch_add(1_000, SeqCst);
        }
        Ok(())
    }
}

#[test]
fn a_value_that_formats_without_end_is_stopped() {
    let scene = Scene::new();
    for ignores_errors in [false, true] {
        let written = &AtomicUsize::new(0);
        let endless = Endless {
            written,
            ignores_errors,
        };
        drop(info_span!("span", ?endless));
        let span = scene.spans().pop().unwrap();
        assert_eq!(value(&span.attributes, "endless"), "x".repeat(4096));
        assert_eq!(written.load(SeqCst) < 20_000, !ignores_errors);
    }
}

#[test]
fn a_value_that_panics_because_it_is_stopped_is_cut() {
    struct Insists;
    impl Debug for Insists {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..100 {
                f.write_str(&"x".repeat(1_000)).unwrap();
            }
            Ok(())
        }
    }
    let scene = Scene::new();
    drop(info_span!("span", insists = ?Insists));
    let span = scene.span("span");
    assert_eq!(value(&span.attributes, "insists"), "x".repeat(4096));
}

#[test]
fn ten_thousand_attributes_of_every_source_are_counted_and_bounded() {
    let scene = Scene::with(Sampler::AlwaysOn, |layer| {
        layer.location(false).target(false)
    });
    let long = "x".repeat(4_000);
    let span = info_span!("layer", late = field::Empty);
    for _ in 0..10_000 {
        span.record("late", &*long);
    }
    drop(span);
    let span = info_span!("set");
    for _ in 0..10_000 {
        span.set_attribute("set", long.clone());
    }
    drop(span);
    info_span!("handler").in_scope(|| {
        for _ in 0..10_000 {
            let attribute = KeyValue::new("handler", long.clone());
            Context::current().span().set_attribute(attribute);
        }
    });
    let tracer = scene.recorder.tracer_provider().tracer("test");
    let mut span = Tracer::start(&tracer, "api");
    for _ in 0..10_000 {
        span.set_attribute(KeyValue::new("api", long.clone()));
    }
    drop(span);
    for name in ["layer", "set", "handler", "api"] {
        let span = scene.span(name);
        let recorded = span.attributes.len();
        assert!((10..=16).contains(&recorded), "{name}: {recorded}");
        assert_eq!(span.dropped_attributes_count as usize, 10_000 - recorded);
        assert!(size(&span) <= RECORD + 1_000);
    }
}

#[test]
fn everything_that_a_span_holds_counts_towards_its_bytes() {
    let scene = Scene::with(Sampler::AlwaysOn, |layer| {
        layer.location(false).target(false)
    });
    let long = "x".repeat(4_000);
    let span = info_span!("span", start = long, number = field::Empty);
    span.in_scope(|| {
        for _ in 0..50 {
            info!(long, "event");
            let context = Context::current();
            let handler = context.span();
            let numbers = Value::Array(vec![7_i64; 500].into());
            handler.set_attribute(KeyValue::new("numbers", numbers));
            let texts = vec![opentelemetry::StringValue::from(long.clone()); 5];
            let texts = Value::Array(texts.into());
            handler.add_event("handler", vec![KeyValue::new("texts", texts)]);
            handler.add_link(
                SpanContext::empty_context(),
                vec![KeyValue::new("link", long.clone())],
            );
        }
    });
    span.record("number", 7);
    drop(span);
    let span = scene.span("span");
    assert!(size(&span) <= RECORD + 2_000, "{}", size(&span));
    // An attribute without a text has a place in a full record.
    assert_eq!(value(&span.attributes, "number"), "7");
    let recorded = span.attributes.len() + span.events.len() + span.links.len();
    let dropped =
        span.dropped_attributes_count + span.events.dropped_count + span.links.dropped_count;
    assert_eq!(recorded + dropped as usize, 2 + 50 * 4);
    assert!(span.events.dropped_count > 0 && span.links.dropped_count > 0);
}

#[test]
fn arrays_of_an_element_each_are_cut_like_texts() {
    let scene = Scene::new();
    let tracer = scene.recorder.tracer_provider().tracer("test");
    let mut span = Tracer::start(&tracer, "span");
    let texts = vec![opentelemetry::StringValue::from(megabyte()); 2];
    span.set_attribute(KeyValue::new("texts", Value::Array(texts.into())));
    let numbers = Value::Array(vec![7_i64; 1 << 20].into());
    span.set_attribute(KeyValue::new("numbers", numbers));
    drop(span);
    let span = scene.span("span");
    let cut = opentelemetry::StringValue::from(cut());
    let expected = Value::Array(vec![cut; 2].into());
    assert!(span.attributes == [KeyValue::new("texts", expected)]);
    assert_eq!(span.dropped_attributes_count, 1);
}

#[test]
fn a_batch_has_at_most_its_bytes() {
    let collector = Collector::new();
    let recorder = build(
        Recorder::builder(collector.clone())
            .batch_bytes(40_000)
            .batch_size(usize::MAX),
    );
    let tracer = recorder.tracer_provider().tracer("test");
    for _ in 0..100 {
        let mut span = Tracer::start(&tracer, "span");
        span.set_attribute(KeyValue::new("text", "x".repeat(4_000)));
    }
    recorder.flush(LONG).unwrap();
    assert_eq!(collector.spans.spans().len(), 100);
    let largest = collector.largest.load(SeqCst);
    assert!((10_000..=40_000).contains(&largest), "{largest}");
}

#[test]
fn a_record_that_is_larger_than_a_batch_is_exported_alone() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()).batch_bytes(1));
    for _ in 0..3 {
        drop(start(&recorder, "test"));
    }
    recorder.flush(LONG).unwrap();
    assert_eq!((memory.spans().len(), memory.exports()), (3, 3));
}

#[test]
fn spans_over_the_bytes_of_the_queue_are_dropped_and_counted_by_reason() {
    let memory = Memory::new(false);
    let builder = Recorder::builder(memory.clone());
    let recorder = build(builder.queue_bytes(100_000).batch_size(1));
    let tracer = recorder.tracer_provider().tracer("test");
    let record = |text: usize| {
        let mut span = Tracer::start(&tracer, "span");
        span.set_attribute(KeyValue::new("text", "x".repeat(text)));
    };
    record(1);
    memory.wait_for_export();
    for _ in 0..100 {
        record(4_000);
    }
    let counts = recorder.counts();
    assert!((75..95).contains(&counts.queue_bytes_full), "{counts:?}");
    assert_eq!(counts.dropped, counts.queue_bytes_full);
    assert_eq!((counts.queue_full, counts.exporting), (0, 1));
    assert_eq!(counts.queued + counts.dropped, 100);
    memory.open();
    recorder.flush(LONG).unwrap();
    // The bytes are free again.
    let exported = recorder.counts().exported;
    for _ in 0..10 {
        record(4_000);
    }
    recorder.flush(LONG).unwrap();
    assert_eq!(recorder.counts().exported, exported + 10);
}

#[test]
fn many_bytes_are_exported_before_the_delay_is_over() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()).batch_bytes(100_000));
    let tracer = recorder.tracer_provider().tracer("test");
    for _ in 0..30 {
        let mut span = Tracer::start(&tracer, "span");
        span.set_attribute(KeyValue::new("text", "x".repeat(4_000)));
    }
    // The delay of this recorder is an hour.
    memory.wait_for_export();
}

#[test]
fn events_and_links_without_attributes_count_towards_the_bytes_of_a_span() {
    let limits = SpanLimits {
        max_events_per_span: u32::MAX,
        max_links_per_span: u32::MAX,
        ..SpanLimits::default()
    };
    let scene = Scene::built(|builder| builder.limits(limits), |layer| layer.boxed());
    let linked = SpanContext::new(
        7.into(),
        7.into(),
        Default::default(),
        true,
        Default::default(),
    );
    for of_api in [true, false] {
        let name = if of_api { "api" } else { "tracing" };
        let span = info_span!("span", otel.name = name);
        span.in_scope(|| {
            for _ in 0..5_000 {
                if of_api {
                    let context = Context::current();
                    context.span().add_event("", Vec::new());
                    context.span().add_link(linked.clone(), Vec::new());
                } else {
                    info!("");
                }
            }
        });
        drop(span);
        let span = scene.span(name);
        let (events, links) = (&span.events, &span.links);
        assert!(events.len() + links.len() < 2_000, "{name}");
        assert!(!events.is_empty(), "{name}");
        assert_eq!(
            events.len() + events.dropped_count as usize,
            5_000,
            "{name}"
        );
    }
}
