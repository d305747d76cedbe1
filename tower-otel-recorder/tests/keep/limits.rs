//! Held spans are bounded, and spans over a limit are counted.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Barrier,
    time::Duration,
};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanContext, Status, TraceContextExt, TraceState, Tracer},
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use tower_otel_recorder::{Keep, Recorder, RecorderSpanExt};
use tracing::{info_span, span::EnteredSpan};

use crate::{
    scene::{fail, reason, rules, scene, tracer, traces, unsampled_roots},
    support::{LONG, Memory, build, wait_until},
};

#[test]
fn traces_over_the_limit_of_a_second_are_counted() {
    let scene = scene(Keep::errors().per_second(3));
    for _ in 0..50 {
        let root = info_span!("root");
        root.in_scope(|| drop(info_span!("child")));
        fail(&root);
    }
    let spans = scene.spans();
    let kept = traces(&spans).len();
    // The limit of one second, and what the time since allows.
    assert!((3..50).contains(&kept), "{kept}");
    let counts = scene.recorder.counts();
    let lost = usize::try_from(counts.keep_limited).unwrap();
    assert_eq!((spans.len(), lost), (2 * kept, 100 - 2 * kept));
}

#[test]
fn a_trace_that_never_ends_holds_a_bounded_number_of_spans() {
    let scene = scene(rules());
    let root = info_span!("root").entered();
    for _ in 0..1_000 {
        info_span!("child").in_scope(|| drop(info_span!("grandchild")));
    }
    let root = EnteredSpan::exit(root);
    fail(&root);
    drop(root);
    let spans = scene.spans().len();
    assert!((200..=256).contains(&spans), "{spans}");
    let counts = scene.recorder.counts();
    assert_eq!(
        counts.queued + counts.exported,
        u64::try_from(spans).unwrap()
    );
    // Children of a span that is not held are not counted.
    assert!(counts.not_held >= 1_000 - 256, "{counts:?}");
}

#[test]
fn a_trace_holds_a_bounded_number_of_bytes() {
    let scene = scene(rules());
    let root = info_span!("root").entered();
    let text = "x".repeat(4_000);
    for _ in 0..200 {
        info_span!("child", text = &*text, other = &*text, third = &*text);
    }
    let root = EnteredSpan::exit(root);
    fail(&root);
    drop(root);
    let spans = scene.spans().len();
    assert!((20..=44).contains(&spans), "{spans}");
    let all = u64::try_from(spans).unwrap() + scene.recorder.counts().not_held;
    assert_eq!(all, 201);
}

#[test]
fn ten_thousand_live_traces_are_bounded_and_leave_room_when_they_end() {
    let scene = scene(rules());
    for _ in 0..2 {
        let live: Vec<_> = (0..10_000).map(|_| info_span!("root")).collect();
        let held = live
            .iter()
            .filter(|root| root.in_scope(|| Context::current().span().is_recording()));
        let held = held.count();
        assert!((8_000..=8_192).contains(&held), "{held}");
        let before = scene.recorder.counts();
        for root in &live[..10] {
            fail(root);
        }
        drop(live);
        let counts = scene.recorder.counts();
        assert_eq!(counts.started, before.started + 10);
    }
    assert_eq!(scene.spans().len(), 20);
    let counts = scene.recorder.counts();
    assert!(
        (2 * 1_808..=2 * 2_000).contains(&counts.not_held),
        "{counts:?}"
    );
    assert_eq!((counts.dropped, counts.keep_limited), (0, 0));
}

#[test]
fn kept_spans_that_end_after_a_shutdown_are_dropped_and_counted() {
    let scene = scene(rules());
    let root = info_span!("root");
    root.in_scope(|| drop(info_span!("child")));
    fail(&root);
    scene.recorder.shutdown(LONG).unwrap();
    drop(root);
    let counts = scene.recorder.counts();
    assert_eq!((counts.started, counts.dropped), (2, 2));
}

#[test]
fn limits_of_zero_are_refused() {
    for rules in [
        Keep::errors().per_second(0),
        Keep::errors().slower_than(Duration::ZERO),
    ] {
        let recorder = Recorder::builder(Memory::new(true)).keep(rules).build();
        let error = recorder.err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(
            error.to_string().ends_with("no recorder is started"),
            "{error}"
        );
    }
}

/// The sampled tenth counts ten times, kept spans not at all.
#[test]
fn the_number_of_all_spans_is_estimated_from_the_exported_ones() {
    const ALL: u32 = 20_000;
    let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    let memory = Memory::new(true);
    let recorder = build(
        Recorder::builder(memory.clone())
            .sampler_without_attributes(tenth)
            .queue_size(usize::MAX)
            .queue_bytes(usize::MAX)
            .keep(rules()),
    );
    let tracer = tracer(&recorder);
    for n in 0..ALL {
        let mut span = tracer.start("request");
        if n % 10 == 0 {
            span.set_status(Status::error(""));
        }
    }
    recorder.flush(LONG).unwrap();
    let spans = memory.spans();
    let failed = spans.iter().filter(|span| span.status != Status::Unset);
    assert_eq!(failed.count(), 2_000, "all failures are exported");
    let sampled = spans.iter().filter(|span| reason(span).is_none());
    let sampled = u32::try_from(sampled.count()).unwrap();
    // Six standard deviations of a binomial distribution: 6 * sqrt(20,000 * 0.1 * 0.9) = 255.
    assert!(sampled.abs_diff(ALL / 10) < 255, "{sampled} of {ALL}");
    let kept = spans.iter().filter(|span| reason(span).is_some());
    assert!(kept.clone().all(|span| !span.span_context.is_sampled()));
    assert!(
        spans
            .iter()
            .all(|span| reason(span).is_some() != span.span_context.is_sampled())
    );
}

/// Connections that stay open for hours have traces that do not end.
#[test]
fn traces_that_stay_open_make_room_for_others_and_keep_their_roots() {
    let scene = scene(rules());
    let live: Vec<_> = (0..10_000).map(|_| info_span!("connection")).collect();
    for connection in &live {
        connection.in_scope(|| drop(info_span!("child")));
    }
    let not_held = scene.recorder.counts().not_held;
    assert!(not_held > 9_000, "{not_held}");
    let kept = || {
        let request = info_span!("request");
        request.in_scope(|| drop(info_span!("child")));
        fail(&request);
        drop(request);
        let spans = scene.spans();
        spans.iter().filter(|span| span.name == "request").count()
    };
    assert_eq!(kept(), 0);
    // The export thread drops the children of traces that are old enough.
    wait_until("room", || kept() > 0);
    for connection in &live {
        fail(connection);
    }
    drop(live);
    let spans = scene.spans();
    let is_connection = |span: &&SpanData| span.name == "connection";
    let connections = spans.iter().filter(is_connection).count();
    assert!((3_000..=10_000).contains(&connections), "{connections}");
    let counts = scene.recorder.counts();
    assert_eq!(counts.started, counts.exported + counts.dropped);
}

/// Live threads reserve bytes for spans that they do not start.
#[test]
fn threads_that_have_held_spans_leave_room_for_others() {
    const THREADS: usize = 600;
    let recorder = build(
        Recorder::builder(Memory::new(true))
            .sampler_without_attributes(unsampled_roots())
            .keep(rules()),
    );
    let tracer = tracer(&recorder);
    let barrier = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                drop(tracer.start("span"));
                barrier.wait();
                barrier.wait();
            });
        }
        barrier.wait();
        let held = || {
            let live: Vec<_> = (0..7_500).map(|_| tracer.start("span")).collect();
            live.iter().filter(|span| span.is_recording()).count()
        };
        let before = held();
        // The export thread is woken, without a flush.
        let result = catch_unwind(AssertUnwindSafe(|| {
            wait_until("room", || held() == 7_500);
        }));
        barrier.wait();
        assert!(result.is_ok(), "{before} of 7500 are held");
    });
}

#[test]
fn children_that_end_after_a_root_over_the_limit_are_counted() {
    let scene = scene(Keep::errors().per_second(1));
    let tracer = tracer(&scene.recorder);
    for _ in 0..20 {
        let root = Context::new().with_span(tracer.start("root"));
        let child = tracer.start_with_context("child", &root);
        root.span().set_status(Status::error(""));
        root.span().end();
        drop(child);
    }
    let spans = u64::try_from(scene.spans().len()).unwrap();
    assert_eq!(spans + scene.recorder.counts().keep_limited, 40);
}

#[test]
fn a_span_without_room_that_gets_another_parent_is_counted_once() {
    let scene = scene(rules());
    let remote = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::default(),
    );
    let remote = Context::new().with_remote_span_context(remote);
    let live: Vec<_> = (0..9_000).map(|_| info_span!("root")).collect();
    let before = scene.recorder.counts().not_held;
    for _ in 0..10 {
        let span = info_span!("span");
        span.set_parent(remote.clone()).unwrap();
    }
    assert_eq!(scene.recorder.counts().not_held, before + 10);
    drop(live);
}
