//! A span has a maximum of bytes, from all sources.

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Span, SpanContext, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{Sampler, SpanLimits};
use tower_otel_recorder::RecorderSpanExt;
use tracing::{field, info, info_span};
use tracing_subscriber::Layer;

use crate::{
    sizes::{RECORD, size},
    support::Scene,
    texts::{cut, megabyte, value},
};

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
