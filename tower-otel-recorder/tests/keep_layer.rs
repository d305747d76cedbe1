//! A `tracing` span that is held for the keep rules is recorded as a sampled one.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanContext, Status, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::Sampler;
use support::{Scene, fields};
use tower_otel_recorder::{Keep, RecorderLayer, RecorderSpanExt};
use tracing::{field::Empty, info, info_span};
use tracing_subscriber::Layer;

/// A scene whose traces are not sampled, and kept if they fail.
fn scene(options: impl FnOnce(RecorderLayer) -> RecorderLayer) -> Scene {
    let roots = Sampler::TraceIdRatioBased(0.0);
    let sampler = Sampler::ParentBased(Box::new(roots));
    Scene::built(
        |builder| {
            let builder = builder.sampler_without_attributes(sampler);
            builder.keep(Keep::errors().per_second(100_000))
        },
        |layer| options(layer).boxed(),
    )
}

/// A span of another crate. It runs code of the application when it gets an attribute.
#[derive(Debug)]
struct ForeignSpan {
    context: SpanContext,
    attributes: Arc<AtomicUsize>,
}

impl Span for ForeignSpan {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        _: T,
        _: SystemTime,
        _: Vec<KeyValue>,
    ) {
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn set_attribute(&mut self, _: KeyValue) {
        let _attached = Context::new().attach();
        self.attributes.fetch_add(1, SeqCst);
    }

    fn set_status(&mut self, _: Status) {}

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, _: T) {}

    fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}

#[test]
fn a_held_span_ends_at_its_last_exit() {
    for activate in [true, false] {
        let scene = scene(|layer| layer.activate_context(activate));
        let root = info_span!("root");
        root.in_scope(|| ());
        root.set_status(Status::error("no stock"));
        let child = info_span!(parent: &root, "child");
        child.in_scope(|| ());
        let exited = SystemTime::now();
        while SystemTime::now() < exited + Duration::from_millis(1) {
            std::thread::yield_now();
        }
        drop(child);
        drop(root);
        for name in ["child", "root"] {
            assert!(scene.span(name).end_time <= exited, "{name}");
        }
    }
}

#[test]
fn a_held_span_has_all_fields_events_and_links() {
    let scene = scene(|layer| layer);
    let linked = info_span!("linked");
    let root = info_span!("root", early = 1, late = Empty, text = Empty, debug = Empty);
    root.follows_from(&linked);
    root.in_scope(|| info!("event"));
    root.record("late", 2);
    root.record("text", "b");
    root.record("debug", tracing::field::debug("c"));
    root.set_attribute("undeclared", 3);
    root.set_status(Status::error("no stock"));
    drop(root);
    let root = scene.span("root");
    let expected = [
        "debug=\"\\\"c\\\"\"",
        "early=1",
        "late=2",
        "sampling.keep.reason=\"error\"",
        "text=\"b\"",
        "undeclared=3",
    ];
    assert_eq!(fields(&root.attributes), expected);
    assert_eq!(root.events.events.len(), 1);
    assert_eq!(root.links.links.len(), 1);
}

#[test]
fn a_parent_of_another_crate_may_attach_a_context_when_it_is_asked() {
    let scene = scene(|layer| layer);
    let attributes = Arc::new(AtomicUsize::new(0));
    let (trace, span) = (TraceId::from(7), SpanId::from(8));
    let flags = TraceFlags::default();
    let foreign = Context::new().with_span(ForeignSpan {
        context: SpanContext::new(trace, span, flags, false, TraceState::NONE),
        attributes: Arc::clone(&attributes),
    });
    let _attached = foreign.attach();
    let child = info_span!("child");
    assert_eq!(attributes.load(SeqCst), 1);
    let context = child.context().span().span_context().clone();
    assert_eq!(context.trace_id(), trace);
    child.set_status(Status::error("no stock"));
    drop(child);
    assert_eq!(scene.spans().len(), 0);
}
