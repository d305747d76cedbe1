//! Spans are recorded once, however they are entered and closed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::Sampler;
use support::{LONG, Memory, Scene, assert_child, assert_root, build, fields};
use tower_otel_recorder::{Recorder, RecorderLayer, RecorderSpanExt, SetParentError};
use tracing::{Span, dispatcher, info, info_span};
use tracing_subscriber::{Layer, layer::SubscriberExt, reload};

fn remote(flags: TraceFlags) -> Context {
    let (trace, span) = (TraceId::from(7), SpanId::from(8));
    let span = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

/// Waits until the clock has moved.
fn pause() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(50) {
        std::thread::yield_now();
    }
}

#[test]
fn a_span_ends_at_its_last_exit() {
    let scene = Scene::new();
    let outer = info_span!("outer");
    outer.in_scope(pause);
    outer.in_scope(pause);
    let child = info_span!(parent: &outer, "child");
    drop(outer);
    pause();
    child.in_scope(pause);
    drop(child);
    let (outer, child) = (scene.span("outer"), scene.span("child"));
    let length = outer.end_time.duration_since(outer.start_time).unwrap();
    assert!(length >= Duration::from_micros(100), "{length:?}");
    assert!(outer.end_time < child.start_time + Duration::from_micros(50));
}

#[test]
fn a_span_that_is_never_entered_ends_when_it_closes() {
    let scene = Scene::new();
    let span = info_span!("span");
    pause();
    drop(span);
    let span = scene.span("span");
    let length = span.end_time.duration_since(span.start_time).unwrap();
    assert!(length >= Duration::from_micros(50), "{length:?}");
}

#[test]
fn a_span_may_be_ended_through_its_context() {
    let scene = Scene::new();
    let span = info_span!("span", late = tracing::field::Empty);
    span.in_scope(|| {
        Context::current().span().end();
        info!("late");
    });
    span.record("late", 1);
    drop(span);
    let span = scene.span("span");
    assert_eq!(fields(&span.attributes), [""; 0]);
    assert_eq!(span.events.events.len(), 0);
}

#[test]
fn spans_may_be_exited_in_any_order() {
    let scene = Scene::new();
    let [a, b] = [info_span!("a"), info_span!("b")];
    let entered_a = a.enter();
    let entered_b = b.enter();
    drop(entered_a);
    drop(info_span!("in b"));
    drop(entered_b);
    drop(info_span!("outside"));
    drop((a, b));
    assert_child(&scene.span("in b"), &scene.span("b"));
    assert_root(&scene.span("outside"));
    assert_root(&scene.span("b"));
}

#[test]
fn a_span_may_be_entered_twice() {
    let scene = Scene::new();
    let span = info_span!("span");
    let first = span.enter();
    let second = span.enter();
    drop(second);
    drop(info_span!("child"));
    drop(first);
    drop(span);
    assert_child(&scene.span("child"), &scene.span("span"));
}

#[test]
fn a_span_may_be_entered_on_several_threads_at_once() {
    const THREADS: usize = 4;
    let scene = Scene::new();
    let dispatch = dispatcher::get_default(Clone::clone);
    let span = info_span!("span");
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (dispatch, span, barrier) = (dispatch.clone(), span.clone(), &barrier);
            scope.spawn(move || {
                dispatcher::with_default(&dispatch, || {
                    let _entered = span.enter();
                    barrier.wait();
                    for n in 0..100 {
                        info_span!("child").in_scope(|| span.record("n", n));
                    }
                    info!("done");
                });
            });
        }
    });
    drop(span);
    let parent = scene.span("span");
    assert_eq!(parent.events.events.len(), THREADS);
    let spans = scene.spans();
    assert_eq!(spans.len(), 100 * THREADS + 1);
    for child in spans.iter().filter(|span| span.name == "child") {
        assert_child(child, &parent);
    }
}

#[test]
fn a_span_that_is_never_closed_is_not_exported() {
    let scene = Scene::new();
    let span = info_span!("open");
    std::mem::forget(span.clone());
    span.in_scope(|| drop(info_span!("child")));
    drop(span);
    let spans = scene.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "child");
}

#[test]
fn a_thread_may_end_inside_of_a_span() {
    thread_local! {
        static ENTERED: std::cell::RefCell<Option<tracing::span::EnteredSpan>> =
            const { std::cell::RefCell::new(None) };
    }
    let scene = Scene::new();
    let dispatch = dispatcher::get_default(Clone::clone);
    std::thread::spawn(move || {
        let span = dispatcher::with_default(&dispatch, || info_span!("span"));
        ENTERED.set(Some(span.entered()));
    })
    .join()
    .unwrap();
    assert_root(&scene.span("span"));
}

#[test]
fn a_span_that_outlives_the_recorder_is_counted() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let subscriber = tracing_subscriber::registry().with(recorder.layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("span");
        let entered = span.enter();
        recorder.shutdown(LONG).unwrap();
        info!("late");
        info_span!("later").in_scope(|| assert!(Context::current().span().is_recording()));
        drop(entered);
        drop(span);
    });
    assert_eq!(recorder.counts().dropped, 1);
    assert_eq!(memory.spans().len(), 0);
}

#[test]
fn a_second_layer_records_nothing() {
    let scene = Scene::new();
    let memories = [Memory::new(true), Memory::new(true)];
    let recorders = memories
        .clone()
        .map(|memory| build(Recorder::builder(memory)));
    let subscriber = tracing_subscriber::registry()
        .with(recorders[0].layer())
        .with(recorders[1].layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("span", late = tracing::field::Empty);
        span.in_scope(|| info!("event"));
        span.record("late", 1);
        span.set_attribute("set", 2);
    });
    for recorder in &recorders {
        recorder.flush(LONG).unwrap();
    }
    let [first, second] = memories.map(|memory| memory.spans());
    assert_eq!((first.len(), second.len()), (1, 0));
    assert_eq!(fields(&first[0].attributes), ["late=1", "set=2"]);
    assert_eq!(first[0].events.events.len(), 1);
    assert_eq!(scene.spans().len(), 0);
}

#[test]
fn a_layer_and_its_clone_in_another_subscriber_record_their_own_spans() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let layer = recorder.layer();
    let subscribers = [layer.clone(), layer].map(|layer| {
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::Dispatch::new(subscriber)
    });
    // Both registries give their first span the same id.
    let spans = subscribers
        .each_ref()
        .map(|subscriber| dispatcher::with_default(subscriber, || info_span!("span")));
    let [one, other] = spans.each_ref().map(RecorderSpanExt::context);
    assert_ne!(one.span().span_context(), other.span().span_context());
    one.span().set_attribute(KeyValue::new("key", 1));
    drop(spans);
    recorder.flush(LONG).unwrap();
    let attributes = memory
        .spans()
        .iter()
        .map(|span| span.attributes.len())
        .sum::<usize>();
    assert_eq!((memory.spans().len(), attributes), (2, 1 + 2 * 3));
}

#[test]
fn follows_from_becomes_a_link() {
    let scene = Scene::new();
    let [cause, closed] = [info_span!("cause"), info_span!("closed")];
    let closed_id = closed.id();
    drop(closed);
    let span = info_span!("span");
    span.follows_from(&cause);
    span.follows_from(closed_id);
    drop((span, cause));
    let links = scene.span("span").links.links;
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].span_context, scene.span("cause").span_context);
}

#[test]
fn a_span_that_follows_from_itself_has_a_link_to_itself() {
    let scene = Scene::new();
    let span = info_span!("span");
    span.follows_from(&span);
    drop(span);
    let span = scene.span("span");
    assert_eq!(span.links.links[0].span_context, span.span_context);
}

#[test]
fn the_extension_trait_reads_and_changes_a_span() {
    let scene = Scene::new();
    let span = info_span!("span");
    span.set_attribute("undeclared", 1);
    span.set_status(Status::error("bad"));
    span.add_link(remote(TraceFlags::SAMPLED).span().span_context().clone());
    let context = span.context().span().span_context().clone();
    drop(span);
    let span = scene.span("span");
    assert_eq!(span.span_context, context);
    assert_eq!(fields(&span.attributes), ["undeclared=1"]);
    assert_eq!(span.status, Status::error("bad"));
    assert_eq!(span.links.links.len(), 1);
}

#[test]
fn a_parent_may_be_set_before_the_span_is_used() {
    let scene = Scene::new();
    let span = info_span!("span", first = 1);
    span.set_parent(remote(TraceFlags::SAMPLED)).unwrap();
    span.in_scope(|| drop(info_span!("child")));
    let refused = span.set_parent(Context::new());
    assert_eq!(refused, Err(SetParentError::ContextInUse));
    drop(span);
    let span = scene.span("span");
    assert_eq!(span.parent_span_id, SpanId::from(8));
    assert_eq!(span.span_context.trace_id(), TraceId::from(7));
    assert_eq!(fields(&span.attributes), ["first=1"]);
    assert_child(&scene.span("child"), &span);
}

#[test]
fn a_root_span_that_was_not_sampled_is_recorded_with_a_sampled_parent() {
    let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    let scene = Scene::with(sampler, |layer| layer);
    let span = info_span!("span", first = 1, second = tracing::field::Empty);
    span.record("second", 2);
    span.set_parent(remote(TraceFlags::SAMPLED)).unwrap();
    span.in_scope(|| info!("event"));
    drop(span);
    let span = scene.span("span");
    assert_eq!(fields(&span.attributes), ["first=1", "second=2"]);
    assert_eq!(span.events.events.len(), 1);
}

#[test]
fn a_child_of_a_span_that_is_not_sampled_is_recorded_with_a_sampled_parent_from_then_on() {
    let scene = Scene::with(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), |layer| {
        layer
    });
    let _caller = remote(TraceFlags::default()).attach();
    let span = info_span!("span", first = 1, second = tracing::field::Empty);
    span.set_parent(remote(TraceFlags::SAMPLED)).unwrap();
    span.record("second", 2);
    drop(span);
    assert_eq!(fields(&scene.span("span").attributes), ["second=2"]);
}

#[test]
fn a_sampled_span_is_not_recorded_with_a_parent_that_is_not_sampled() {
    let scene = Scene::with(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), |layer| {
        layer
    });
    let span = info_span!("span");
    span.set_parent(remote(TraceFlags::default())).unwrap();
    span.in_scope(|| drop(info_span!("child")));
    drop(span);
    assert_eq!(scene.spans().len(), 0);
}

#[test]
fn a_span_without_a_layer_has_no_context_and_no_parent() {
    let span = Span::none();
    assert!(!span.context().span().span_context().is_valid());
    let refused = span.set_parent(Context::new());
    assert_eq!(refused, Err(SetParentError::NotRecorded));
    span.set_attribute("a", 1);
    span.set_status(Status::Ok);
    span.add_link(SpanContext::NONE);
}

#[test]
fn a_layer_can_be_added_later() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let (layer, handle) = reload::Layer::new(None::<RecorderLayer>);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let open = info_span!("open", late = tracing::field::Empty);
        open.in_scope(|| {
            handle.reload(Some(recorder.layer())).unwrap();
            open.record("late", 1);
            info_span!("span").in_scope(|| info!("event"));
        });
    });
    recorder.flush(LONG).unwrap();
    assert_eq!(memory.spans().len(), 1);
    assert_root(&memory.spans()[0]);
}

#[test]
fn a_value_of_the_context_may_use_tracing_when_it_is_dropped() {
    struct Logs(Span);
    impl Drop for Logs {
        fn drop(&mut self) {
            self.0.in_scope(|| info!("dropped"));
            self.0.record("late", 1);
        }
    }
    let scene = Scene::new();
    let other = info_span!("other", late = tracing::field::Empty);
    {
        let _attached = Context::current_with_value(Logs(other)).attach();
        info_span!("a").in_scope(|| drop(info_span!("b")));
    }
    assert_eq!(scene.spans().len(), 3);
    assert_eq!(scene.span("other").events.events.len(), 1);
}

#[test]
fn spans_have_the_scope_of_the_layer() {
    use opentelemetry::InstrumentationScope;
    let scene = Scene::built(
        |builder| builder,
        |layer| {
            layer
                .scope(InstrumentationScope::builder("shop").build())
                .boxed()
        },
    );
    drop(info_span!("span"));
    assert_eq!(scene.span("span").instrumentation_scope.name(), "shop");
    let scene = Scene::new();
    drop(info_span!("span"));
    let scope = scene.span("span").instrumentation_scope;
    assert_eq!(scope.name(), "tower-otel-recorder");
}

#[test]
fn records_are_reused_without_traces_of_the_last_span() {
    let scene = Scene::new();
    for n in 0..3_i64 {
        info_span!("span", n, otel.kind = "server", otel.status_code = "ERROR").in_scope(|| {
            info!(n, "event");
            Context::current()
                .span()
                .set_attribute(KeyValue::new("late", n));
        });
        scene.recorder.flush(LONG).unwrap();
        drop(info_span!("plain"));
        scene.recorder.flush(LONG).unwrap();
    }
    let spans = scene.spans();
    assert_eq!(spans.len(), 6);
    for plain in spans.iter().filter(|span| span.name == "plain") {
        assert_eq!(fields(&plain.attributes), [""; 0]);
        assert_eq!(plain.events.events.len(), 0);
        assert_eq!(plain.status, Status::Unset);
        assert_eq!(plain.span_kind, opentelemetry::trace::SpanKind::Internal);
    }
}
