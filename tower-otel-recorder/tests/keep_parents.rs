//! Which held trace a span belongs to: that of its parent, unless the parent is not held.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{
    borrow::Cow,
    sync::{Arc, mpsc},
    time::Instant,
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::Sampler;
use support::{LONG, Memory, Scene, build, fields};
use tower_otel_recorder::{
    Keep, Recorder, RecorderSpanExt, RecorderTracer, SpanStart, StartedSpan, is_kept,
};
use tracing::info_span;
use tracing_subscriber::Layer;

/// The maximum number of spans of a held trace.
const MAX_SPANS: usize = 256;

/// A scene whose traces are not sampled, and kept if they fail.
fn scene() -> Scene {
    let roots = Sampler::TraceIdRatioBased(0.0);
    let sampler = Sampler::ParentBased(Box::new(roots));
    Scene::built(
        |builder| {
            let builder = builder.sampler_without_attributes(sampler);
            builder.keep(Keep::errors().per_second(100_000))
        },
        |layer| layer.boxed(),
    )
}

/// A recorder that samples no trace.
fn other_recorder(rules: Option<Keep>) -> Recorder {
    let roots = Sampler::TraceIdRatioBased(0.0);
    let sampler = Sampler::ParentBased(Box::new(roots));
    let builder = Recorder::builder(Memory::new(true)).sampler_without_attributes(sampler);
    build(match rules {
        None => builder,
        Some(rules) => builder.keep(rules),
    })
}

fn tracer(recorder: &Recorder) -> RecorderTracer {
    recorder.tracer_provider().tracer("api")
}

/// Starts a span as `TraceLayer::recorder` does, with the current context as the base.
fn start_direct(recorder: &Recorder, remote: Option<&SpanContext>) -> StartedSpan {
    let scope = Arc::new(InstrumentationScope::builder("direct").build());
    let start = SpanStart {
        kind: SpanKind::Server,
        base: &Context::current(),
        remote,
        link: None,
        at: Instant::now(),
    };
    recorder.tracer_with_scope(scope).start_record(
        start,
        || (Cow::Borrowed("direct"), Vec::new()),
        |record| record.set_static_name("direct"),
    )
}

fn unsampled_caller() -> SpanContext {
    SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    )
}

/// A span, and the context in which its children start.
type Started = (Context, Box<dyn std::any::Any>);

/// Starts a span below the current context, or with a remote parent.
type Start = fn(&Recorder, Option<&SpanContext>) -> Started;

/// The ways to start a span.
const STARTS: [(&str, Start); 3] = [
    ("tracing", |_, remote| {
        let span = info_span!("tracing");
        if let Some(remote) = remote {
            let parent = Context::current().with_remote_span_context(remote.clone());
            span.set_parent(parent).unwrap();
        }
        (span.context(), Box::new(span))
    }),
    ("direct", |recorder, remote| {
        let started = start_direct(recorder, remote);
        (started.context.unwrap(), Box::new(started.span))
    }),
    ("api", |recorder, remote| {
        let mut parent = Context::current();
        if let Some(remote) = remote {
            parent = parent.with_remote_span_context(remote.clone());
        }
        let span = tracer(recorder).start_with_context("api", &parent);
        (parent.with_span(span), Box::new(()))
    }),
];

/// The ways to start a span whose context the recorder makes.
const IN_CONTEXT: [(&str, Start); 2] = [STARTS[0], STARTS[1]];

/// More spans than a held trace can exclude.
const MANY: usize = 65;

fn is_recording(context: &Context) -> bool {
    context.span().is_recording()
}

#[test]
fn children_of_a_span_without_room_are_not_held_when_there_is_room_again() {
    for (name, start) in STARTS {
        let scene = scene();
        let root = info_span!("root").entered();
        let children: Vec<_> = (1..MAX_SPANS).map(|_| info_span!("child")).collect();
        let (context, unheld) = start(&scene.recorder, None);
        assert!(!is_recording(&context), "{name}");
        // They leave the trace.
        for child in &children {
            child.set_parent(Context::new()).unwrap();
        }
        assert!(is_recording(&info_span!("late child").context()), "{name}");
        let entered = context.attach();
        for (_, start) in STARTS {
            let (grandchild, _span) = start(&scene.recorder, None);
            assert!(!is_recording(&grandchild), "{name}");
            assert_eq!(is_kept(&grandchild, false), None);
            let _entered = grandchild.attach();
            assert!(!is_recording(&info_span!("great-grandchild").context()));
        }
        drop((entered, unheld, children));
        root.set_status(Status::error(""));
        drop(root);
        let spans = scene.spans();
        let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["late child", "root"], "{name}");
    }
}

#[test]
fn children_of_a_span_that_started_while_there_were_no_rules_are_not_held() {
    for (name, start) in STARTS {
        let scene = scene();
        let root = info_span!("root").entered();
        let rules = Keep::errors().per_second(100_000);
        scene.recorder.set_keep(None).unwrap();
        let (context, unheld) = start(&scene.recorder, None);
        scene.recorder.set_keep(Some(rules)).unwrap();
        {
            let _entered = context.attach();
            drop(info_span!("grandchild"));
        }
        drop(info_span!("child"));
        drop(unheld);
        root.set_status(Status::error(""));
        drop(root);
        let spans = scene.spans();
        let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["child", "root"], "{name}");
    }
}

/// A client calls a server in the same process, by HTTP.
#[test]
fn a_remote_parent_with_the_trace_id_of_an_outer_span_starts_another_held_trace() {
    for (name, start) in STARTS {
        for outer_fails in [true, false] {
            let scene = scene();
            let outer = info_span!("outer");
            let caller = Context::new().with_remote_span_context(unsampled_caller());
            outer.set_parent(caller).unwrap();
            let entered = outer.enter();
            let (context, inner) = start(&scene.recorder, Some(&unsampled_caller()));
            let child = {
                let _entered = context.clone().attach();
                let child = info_span!("child");
                let api = tracer(&scene.recorder).start("api child");
                let _entered = Context::current_with_span(api).attach();
                drop(info_span!("grandchild"));
                child
            };
            drop(child);
            if outer_fails {
                outer.set_status(Status::error(""));
            } else {
                context.span().set_status(Status::error(""));
            }
            drop((inner, context));
            drop(entered);
            drop(outer);
            let spans = scene.spans();
            let mut names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
            names.sort_unstable();
            let mut inner_names = ["api child", "child", "grandchild", name];
            inner_names.sort_unstable();
            match outer_fails {
                true => assert_eq!(names, ["outer"], "{name}"),
                false => assert_eq!(names, inner_names, "{name}"),
            }
        }
    }
}

#[test]
fn many_calls_in_the_same_process_do_not_end_the_trace_of_the_outer_span() {
    for (name, start) in IN_CONTEXT {
        let scene = scene();
        let outer = info_span!("outer");
        let caller = Context::new().with_remote_span_context(unsampled_caller());
        outer.set_parent(caller).unwrap();
        let _entered = outer.enter();
        for _ in 0..MANY {
            let (inner, _span) = start(&scene.recorder, Some(&unsampled_caller()));
            assert!(is_recording(&inner), "{name}");
        }
        assert!(is_recording(&info_span!("child").context()), "{name}");
    }
}

#[test]
fn many_spans_below_a_span_without_room_do_not_end_the_trace() {
    for (name, start) in IN_CONTEXT {
        let scene = scene();
        let _root = info_span!("root").entered();
        let children: Vec<_> = (1..MAX_SPANS).map(|_| info_span!("child")).collect();
        let (context, _unheld) = start(&scene.recorder, None);
        for child in &children {
            child.set_parent(Context::new()).unwrap();
        }
        for (_, start) in STARTS {
            let _entered = context.clone().attach();
            for _ in 0..MANY {
                let (descendant, _span) = start(&scene.recorder, None);
                assert!(!is_recording(&descendant), "{name}");
            }
        }
        assert!(is_recording(&info_span!("late child").context()), "{name}");
    }
}

#[test]
fn many_spans_that_started_while_there_were_no_rules_do_not_end_the_trace() {
    for (name, start) in IN_CONTEXT {
        let scene = scene();
        let _root = info_span!("root").entered();
        scene.recorder.set_keep(None).unwrap();
        for _ in 0..MANY {
            let (unheld, _span) = start(&scene.recorder, None);
            assert!(!is_recording(&unheld), "{name}");
        }
        let rules = Keep::errors().per_second(100_000);
        scene.recorder.set_keep(Some(rules)).unwrap();
        assert!(is_recording(&info_span!("child").context()), "{name}");
    }
}

#[test]
fn spans_of_another_recorder_do_not_belong_to_the_trace() {
    for rules in [None, Some(Keep::errors())] {
        let _scene = scene();
        let other = other_recorder(rules);
        let _root = info_span!("root").entered();
        for _ in 0..MANY {
            let (context, _span) = IN_CONTEXT[1].1(&other, None);
            let _entered = context.attach();
            assert!(!is_recording(&info_span!("grandchild").context()));
        }
        {
            let (context, _span) = STARTS[2].1(&other, None);
            let _entered = context.attach();
            assert!(!is_recording(&info_span!("grandchild").context()));
        }
        assert!(is_recording(&info_span!("child").context()));
    }
}

/// `opentelemetry` reads attributes under the lock of the span in the context.
#[test]
fn a_span_below_a_held_span_of_a_tracer_starts_without_its_lock() {
    let (sender, spans) = mpsc::channel();
    std::thread::spawn(move || {
        let scene = scene();
        let root = info_span!("root");
        root.in_scope(|| {
            let api = tracer(&scene.recorder).start("api");
            let _entered = Context::current_with_span(api).attach();
            let load = |row| info_span!("load").in_scope(|| KeyValue::new("row", row));
            Context::current().span().set_attributes((0..3).map(load));
        });
        root.set_status(Status::error(""));
        drop(root);
        sender.send(scene.spans())
    });
    let spans = spans.recv_timeout(LONG).unwrap();
    let loads = spans.iter().filter(|span| span.name == "load");
    assert_eq!((loads.count(), spans.len()), (3, 5));
}

#[test]
fn a_span_in_a_context_with_other_values_belongs_to_the_trace_of_its_parent() {
    #[derive(Debug)]
    struct Value;

    let scene = scene();
    let root = info_span!("root");
    let task = root.context().with_value(Value);
    let other = info_span!(parent: None, "other");
    let child = {
        // The span in the context is that of another trace than its values.
        let api = tracer(&scene.recorder).start_with_context("api", &other.context());
        let _entered = task.with_span(api).attach();
        info_span!("child")
    };
    other.set_status(Status::error(""));
    drop((child, other, root));
    let spans = scene.spans();
    let mut names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["api", "child", "other"]);
}

#[test]
fn a_context_that_outlives_a_discarded_span_does_not_change_the_next_one() {
    let scene = scene();
    let first = start_direct(&scene.recorder, None);
    let outlives = first.context.unwrap();
    drop(first.span);
    let second = start_direct(&scene.recorder, None);
    outlives.span().set_attribute(KeyValue::new("late", true));
    outlives.span().set_status(Status::Ok);
    outlives.span().end();
    let mut span = second.span;
    span.set_status(Status::error(""));
    drop(span);
    let span = scene.span("direct");
    assert_eq!(fields(&span.attributes), ["sampling.keep.reason=\"error\""]);
    assert_eq!(span.status, Status::error(""));
}
