//! A span ends once, however it is entered and closed.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use crate::support::{LONG, Memory, Scene, assert_child, assert_root, build, fields};
use opentelemetry::{Context, trace::TraceContextExt};
use tower_otel_recorder::Recorder;
use tracing::{dispatcher, info, info_span};
use tracing_subscriber::layer::SubscriberExt;

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
