//! Which traces are kept, and the recorded reason.

use std::time::{Instant, SystemTime};

use crate::support::{assert_child, fields};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Span, SpanBuilder, Status, TraceContextExt, Tracer},
};
use tower_otel_recorder::keep_trace;
use tracing::info_span;

use crate::scene::{LIMIT, fail, reason, rules, scene, start_direct, tracer};

#[test]
fn a_trace_is_kept_by_any_rule_and_says_which() {
    let scene = scene(rules());
    info_span!("good").in_scope(|| drop(info_span!("child")));
    let failing = info_span!("failing");
    failing.in_scope(|| drop(info_span!("child")));
    fail(&failing);
    drop(failing);
    info_span!("marked").in_scope(|| {
        info_span!("child").in_scope(keep_trace);
    });
    let mut slow = start_direct(&scene.recorder, None, Instant::now() - 2 * LIMIT);
    {
        let _entered = slow.context.take().unwrap().attach();
        drop(info_span!("child"));
    }
    drop(slow);
    let spans = scene.spans();
    let found: Vec<_> = spans
        .iter()
        .map(|span| (&*span.name, reason(span).unwrap()))
        .collect();
    let found: Vec<_> = found.iter().map(|(name, why)| (*name, &**why)).collect();
    let expected = [
        ("child", "error"),
        ("failing", "error"),
        ("child", "marked"),
        ("marked", "marked"),
        ("child", "slow"),
        ("direct", "slow"),
    ];
    assert_eq!(found, expected);
    for pair in spans.chunks(2) {
        assert_child(&pair[0], &pair[1]);
    }
    assert_eq!(
        fields(&spans[2].attributes)[0],
        "sampling.keep.reason=\"marked\"".to_owned()
    );
    assert!(fields(&spans[2].attributes).contains(&"sampling.keep=true".to_owned()));
    let counts = scene.recorder.counts();
    assert_eq!((counts.started, counts.exported), (6, 6));
    assert_eq!((counts.not_held, counts.keep_limited), (0, 0));
}

#[test]
fn an_ok_status_is_no_error() {
    let scene = scene(rules());
    let root = info_span!("root");
    fail(&root);
    root.in_scope(|| Context::current().span().set_status(Status::Ok));
    drop(root);
    let root = info_span!("failing child");
    root.in_scope(|| fail(&info_span!("child")));
    drop(root);
    assert_eq!(scene.spans(), []);
}

#[test]
fn a_duration_is_that_of_the_times_that_were_set() {
    let scene = scene(rules());
    let tracer = tracer(&scene.recorder);
    let now = SystemTime::now();
    for (started, ended) in [
        (Some(now - 2 * LIMIT), None),
        (None, Some(now + 2 * LIMIT)),
        (Some(now), Some(now + 2 * LIMIT)),
        (Some(now), Some(now + LIMIT)),
        (Some(now + 2 * LIMIT), Some(now)),
        (None, None),
    ] {
        let mut builder = SpanBuilder::from_name("span");
        builder.start_time = started;
        let mut span = builder.start_with_context(&tracer, &Context::new());
        match ended {
            Some(ended) => span.end_with_timestamp(ended),
            None => span.end(),
        }
    }
    let early = info_span!("ended through its context");
    early.in_scope(|| {
        Context::current()
            .span()
            .end_with_timestamp(now + 3 * LIMIT)
    });
    drop(early);
    let reasons: Vec<_> = scene.spans().iter().map(reason).collect();
    assert_eq!(reasons, [(); 4].map(|()| Some("slow".to_owned())));
}

#[test]
fn the_reason_is_recorded_although_the_span_has_the_most_attributes() {
    let scene = scene(rules());
    let mut span = tracer(&scene.recorder).start("span");
    for n in 0..200 {
        span.set_attribute(KeyValue::new("n", n));
    }
    span.set_status(Status::error(""));
    drop(span);
    let span = scene.span("span");
    assert_eq!(
        (span.attributes.len(), span.dropped_attributes_count),
        (128, 73)
    );
    assert_eq!(reason(&span).as_deref(), Some("error"));
}

#[test]
fn only_the_value_true_marks_a_trace() {
    let scene = scene(rules());
    for (name, value) in [
        ("kept", Value::Bool(true)),
        ("discarded", Value::Bool(false)),
        ("discarded", Value::from("true")),
    ] {
        let mut span = tracer(&scene.recorder).start(name);
        span.set_attribute(KeyValue::new("sampling.keep", value));
    }
    let spans = scene.spans();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["kept"]);
}
