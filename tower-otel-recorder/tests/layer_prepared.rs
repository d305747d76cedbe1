//! A span whose record is written directly is recorded like other `tracing` spans, or not at all.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use opentelemetry::{Context, trace::SpanKind};
use opentelemetry_sdk::trace::Sampler;
use support::{Scene, assert_child, assert_root, fields};
use tower_otel_recorder::{RecorderLayer, SpanStart};
use tracing::{
    Dispatch, Metadata, Span, debug_span, dispatcher, field::Empty, info, info_span,
    level_filters::LevelFilter,
};

fn alone() -> Scene {
    Scene::with(Sampler::AlwaysOn, RecorderLayer::alone)
}

fn create() -> Span {
    info_span!("callsite", written = "not read", late = Empty)
}

/// The metadata of the spans that `create` creates. The first call creates a span.
fn metadata() -> &'static Metadata<'static> {
    thread_local! {
        static METADATA: &'static Metadata<'static> = create().metadata().unwrap();
    }
    METADATA.with(|metadata| *metadata)
}

/// Opens a span with this name in the current context.
fn open(name: &'static str, create: impl FnOnce() -> Span) -> Option<(Span, Option<bool>)> {
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let layer = subscriber.downcast_ref::<RecorderLayer>().unwrap();
    if !layer.can_open(metadata()) {
        return None;
    }
    let start = SpanStart {
        kind: SpanKind::Server,
        base: &Context::current(),
        remote: None,
        link: None,
        at: Instant::now(),
    };
    let sampler_input = || (Cow::Borrowed(name), Vec::new());
    let write = |record: &mut tower_otel_recorder::SpanRecord| {
        record.set_static_name(name);
        record.attributes().int("written", 7);
    };
    let (span, received) = layer.open(metadata(), start, sampler_input, write, create)?;
    Some((span, received.map(|(_, is_held)| is_held)))
}

fn count(scene: &Scene, name: &str) -> usize {
    let spans = scene.spans();
    spans.iter().filter(|span| span.name == name).count()
}

#[test]
fn a_span_has_the_written_attributes_and_its_late_fields_events_and_children() {
    let scene = alone();
    let (span, is_held) = open("server", create).unwrap();
    assert_eq!(is_held, Some(false));
    span.in_scope(|| {
        info!("an event");
        drop(info_span!("child"));
    });
    span.record("late", 8);
    drop(span);
    let server = scene.span("server");
    assert_root(&server);
    assert_eq!(server.span_kind, SpanKind::Server);
    assert_eq!(fields(&server.attributes), ["late=8", "written=7"]);
    assert_eq!(server.events.events[0].name, "an event");
    assert_child(&scene.span("child"), &server);
}

#[test]
fn a_span_ends_at_the_time_that_its_owner_sets_even_if_it_is_entered_later() {
    let scene = alone();
    let (span, _) = open("server", create).unwrap();
    span.in_scope(|| {});
    RecorderLayer::close(&mut span.clone(), Instant::now());
    let child = info_span!(parent: &span, "child");
    span.in_scope(|| {});
    drop((span, child));
    assert!(scene.span("server").end_time <= scene.span("child").start_time);
}

#[test]
fn a_span_without_a_clone_ends_at_the_time_that_its_owner_sets_when_it_closes_it() {
    let scene = alone();
    let (mut span, _) = open("server", create).unwrap();
    let end = Instant::now();
    drop(info_span!("later"));
    RecorderLayer::close(&mut span, end);
    assert!(scene.span("server").end_time <= scene.span("later").start_time);
}

/// Enters a span as its owner does: attaches `context`, and leaves that of the span to the caller.
fn enter_as_owner(span: &Span, context: Context, inside: impl FnOnce()) {
    let _context = context.attach();
    let outer = RecorderLayer::replace_entered((0, span.id().unwrap().into_u64()));
    span.in_scope(inside);
    RecorderLayer::replace_entered(outer);
}

#[test]
fn the_layer_attaches_no_context_when_the_owner_enters_a_span() {
    let scene = alone();
    let (span, _) = open("server", create).unwrap();
    enter_as_owner(&span, Context::new(), || drop(info_span!("inside")));
    drop(span);
    assert_root(&scene.span("inside"));
}

#[test]
fn a_span_that_its_owner_has_entered_attaches_its_context_when_it_is_entered_again() {
    let scene = alone();
    let (span, _) = open("server", create).unwrap();
    enter_as_owner(&span, Context::new(), || {
        span.in_scope(|| drop(info_span!("again")));
    });
    span.in_scope(|| drop(info_span!("after")));
    drop(span);
    for child in ["again", "after"] {
        assert_child(&scene.span(child), &scene.span("server"));
    }
}

#[test]
fn a_context_that_is_attached_in_a_span_that_its_owner_has_entered_is_the_parent_in_hidden_spans() {
    let hiding = |layer: RecorderLayer| layer.spans(LevelFilter::INFO).alone();
    let scene = Scene::with(Sampler::AlwaysOn, hiding);
    let (outer, _) = open("outer", create).unwrap();
    let (inner, _) = open("inner", create).unwrap();
    enter_as_owner(&outer, Context::new(), || {
        enter_as_owner(&inner, Context::new(), || {});
        debug_span!("hidden").in_scope(|| drop(info_span!("root")));
    });
    drop((outer, inner));
    assert_root(&scene.span("root"));
}

#[test]
fn a_layer_that_is_not_alone_does_not_create_the_span() {
    let scene = Scene::new();
    let opened = open("server", || panic!("it is created by the caller"));
    assert!(opened.is_none());
    assert_eq!(count(&scene, "server"), 0);
}

#[test]
fn a_span_that_the_layer_does_not_receive_is_neither_recorded_nor_counted() {
    let scene = alone();
    let _ = metadata();
    let before = scene.recorder.counts().started;
    let (span, is_held) = open("hidden", Span::none).unwrap();
    assert!(span.is_none());
    assert_eq!(is_held, None);
    assert_eq!(scene.recorder.counts().started, before);
    drop(open("next", create));
    assert_eq!((count(&scene, "hidden"), count(&scene, "next")), (0, 1));
}

#[test]
fn a_panic_while_the_span_is_created_affects_no_other_span() {
    let scene = alone();
    let panics = || open("lost", || panic!("in another layer"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    info_span!("parent").in_scope(|| drop(open("next", create)));
    assert_eq!(count(&scene, "lost"), 0);
    assert_child(&scene.span("next"), &scene.span("parent"));
}

#[test]
fn a_span_that_is_opened_while_another_one_is_created_is_another_span() {
    let scene = alone();
    let _ = metadata();
    let mut inner = None;
    let (outer, is_held) = open("outer", || {
        inner = open("inner", create);
        create()
    })
    .unwrap();
    assert_eq!(is_held, Some(false));
    let (inner, is_held) = inner.unwrap();
    assert_eq!(is_held, Some(false));
    outer.record("late", 1);
    inner.record("late", 2);
    drop((inner, outer));
    for (name, late) in [("outer", "late=1"), ("inner", "late=2")] {
        assert_eq!(fields(&scene.span(name).attributes), [late, "written=7"]);
    }
}

#[test]
fn an_unsampled_span_is_not_written_and_its_children_are_not_sampled() {
    let scene = Scene::with(Sampler::AlwaysOff, RecorderLayer::alone);
    let (span, is_held) = open("server", create).unwrap();
    assert_eq!(is_held, Some(false));
    span.in_scope(|| drop(info_span!("child")));
    drop(span);
    assert_eq!((count(&scene, "server"), count(&scene, "child")), (0, 0));
}
