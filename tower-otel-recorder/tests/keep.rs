//! Traces that are not sampled are exported if a keep rule applies to their local root.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    borrow::Cow,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Barrier, mpsc},
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{
        Link, Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState,
        Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample, SpanData};
use support::{LONG, Memory, Scene, assert_child, build, fields};
use tower_otel_recorder::{
    Keep, Recorder, RecorderSpanExt, RecorderTracer, SpanStart, StartedSpan, keep_trace,
};
use tracing::{info_span, span::EnteredSpan};
use tracing_subscriber::Layer;

const LIMIT: Duration = Duration::from_secs(60);

fn rules() -> Keep {
    Keep::errors().slower_than(LIMIT).per_second(100_000)
}

/// A sampler that lets the parent decide, and samples no root.
fn unsampled_roots() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)))
}

/// A scene whose traces are not sampled.
fn scene(rules: Keep) -> Scene {
    Scene::built(
        |builder| {
            builder
                .sampler_without_attributes(unsampled_roots())
                .keep(rules)
        },
        |layer| layer.boxed(),
    )
}

fn tracer(recorder: &Recorder) -> RecorderTracer {
    recorder.tracer_provider().tracer("api")
}

/// Starts a span as `TraceLayer::recorder` does.
fn start_direct(recorder: &Recorder, remote: Option<SpanContext>, at: Instant) -> StartedSpan {
    let scope = Arc::new(InstrumentationScope::builder("direct").build());
    let start = SpanStart {
        kind: SpanKind::Server,
        base: &Context::current(),
        remote: remote.as_ref(),
        link: None,
        at,
    };
    recorder.tracer_with_scope(scope).start_record(
        start,
        || (Cow::Borrowed("direct"), Vec::new()),
        |record| record.set_static_name("direct"),
    )
}

fn fail(span: &tracing::Span) {
    span.set_status(Status::error("no stock"));
}

/// The reason why a span was kept.
fn reason(span: &SpanData) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let reason = attributes.find(|attribute| attribute.key.as_str() == "sampling.keep.reason");
    reason.map(|reason| reason.value.to_string())
}

/// The number of spans of each trace.
fn traces(spans: &[SpanData]) -> HashMap<TraceId, usize> {
    let mut traces = HashMap::new();
    for span in spans {
        *traces.entry(span.span_context.trace_id()).or_default() += 1;
    }
    traces
}

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
fn spans_of_all_sources_below_the_root_are_kept() {
    type Root = fn(&Recorder) -> Box<dyn FnOnce(&dyn Fn())>;
    let roots: [(&str, Root); 3] = [
        ("tracing", |_| {
            Box::new(|inner| {
                let span = info_span!("root");
                span.in_scope(inner);
                fail(&span);
            })
        }),
        ("api", |recorder| {
            let span = tracer(recorder).start("root");
            Box::new(|inner| {
                let context = Context::new().with_span(span);
                let entered = context.clone().attach();
                inner();
                context.span().set_status(Status::error(""));
                drop(entered);
            })
        }),
        ("direct", |recorder| {
            let started = start_direct(recorder, None, Instant::now());
            Box::new(|inner| {
                let (context, mut span) = (started.context.unwrap(), started.span.unwrap());
                let entered = context.attach();
                inner();
                drop(entered);
                span.set_status(Status::error(""));
            })
        }),
    ];
    for (name, root) in roots {
        let scene = scene(rules());
        let run = root(&scene.recorder);
        run(&|| {
            let _tracing = info_span!("tracing").entered();
            let api = tracer(&scene.recorder).start("api");
            let _api = Context::current_with_span(api).attach();
            let direct = start_direct(&scene.recorder, None, Instant::now());
            let _direct = direct.context.clone().unwrap().attach();
            let last = tracer(&scene.recorder).start("last");
            drop(Context::current_with_span(last));
        });
        let spans = scene.spans();
        let traces = traces(&spans);
        assert_eq!(
            traces.into_values().collect::<Vec<_>>(),
            [5],
            "{name}: {spans:#?}"
        );
        assert!(
            spans
                .iter()
                .all(|span| reason(span).as_deref() == Some("error"))
        );
        let chain = ["last", "direct", "api", "tracing"];
        for (child, parent) in chain.iter().zip(&chain[1..]) {
            let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
            assert_child(find(child), find(parent));
        }
    }
}

#[test]
fn a_context_that_is_not_activated_keeps_children_of_tracing() {
    let scene = Scene::built(
        |builder| {
            builder
                .sampler_without_attributes(unsampled_roots())
                .keep(rules())
        },
        |layer| layer.activate_context(false).boxed(),
    );
    let root = info_span!("root");
    root.in_scope(|| info_span!("a").in_scope(|| drop(info_span!("b"))));
    fail(&root);
    drop(root);
    assert_eq!(scene.spans().len(), 3);
}

#[test]
fn sampled_traces_are_exported_once_and_without_a_reason() {
    let scene = Scene::built(|builder| builder.keep(rules()), |layer| layer.boxed());
    let root = info_span!("root");
    root.in_scope(|| {
        keep_trace();
        drop(info_span!("child"));
    });
    fail(&root);
    drop(root);
    let spans = scene.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(reason(span), None);
        assert!(span.span_context.is_sampled());
    }
    assert_eq!(fields(&spans[1].attributes), ["sampling.keep=true"]);
}

#[test]
fn a_kept_trace_is_not_sampled_for_other_processes() {
    let scene = scene(rules());
    let caller = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::from_key_value([("a", "1")]).unwrap(),
    );
    let root = info_span!("root");
    root.set_parent(Context::new().with_remote_span_context(caller.clone()))
        .unwrap();
    root.in_scope(|| {
        let span = Context::current().span().span_context().clone();
        assert!(!span.is_sampled());
        assert_eq!(span.trace_state().header(), "a=1");
    });
    fail(&root);
    drop(root);
    let direct = start_direct(&scene.recorder, Some(caller), Instant::now());
    direct.span.unwrap().set_status(Status::error(""));
    let spans = scene.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert!(!span.span_context.is_sampled());
        assert_eq!(span.parent_span_id, SpanId::from(8));
        assert!(span.parent_span_is_remote);
        assert_eq!(reason(span).as_deref(), Some("error"));
    }
}

#[test]
fn children_that_end_or_start_after_the_root_follow_its_decision() {
    for (fails, expected) in [(true, 4), (false, 0)] {
        let scene = scene(rules());
        let root = info_span!("root");
        let early = root.in_scope(|| info_span!("early"));
        let api = tracer(&scene.recorder);
        let context = root.context();
        let api_child = api.start_with_context("api", &context);
        if fails {
            fail(&root);
        }
        drop(root);
        let late = info_span!(parent: None, "late");
        late.set_parent(context).unwrap();
        drop((late, early, api_child));
        assert_eq!(scene.spans().len(), expected);
        let counts = scene.recorder.counts();
        assert_eq!(counts.started, u64::try_from(expected).unwrap());
        assert_eq!((counts.exported, counts.not_held), (counts.started, 0));
    }
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
fn a_root_that_becomes_the_child_of_a_sampled_span_is_sampled() {
    let scene = scene(rules());
    let sampled = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let root = info_span!("root", field = 1);
    root.set_parent(Context::new().with_remote_span_context(sampled))
        .unwrap();
    root.in_scope(|| drop(info_span!("child")));
    drop(root);
    let spans = scene.spans();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| reason(span).is_none()));
    assert_eq!(fields(&spans[1].attributes), ["field=1"]);
    let counts = scene.recorder.counts();
    assert_eq!((counts.started, counts.exported), (2, 2));
}

#[test]
fn a_root_that_becomes_a_child_of_a_held_trace_is_kept_with_it() {
    let scene = scene(rules());
    let root = info_span!("root");
    let child = info_span!(parent: None, "child");
    child.set_parent(root.context()).unwrap();
    drop(child);
    fail(&root);
    drop(root);
    let spans = scene.spans();
    assert_eq!(spans.len(), 2);
    assert_child(&spans[0], &spans[1]);
}

#[test]
fn a_panic_while_a_span_is_written_frees_its_place() {
    let scene = scene(rules());
    let scope = Arc::new(InstrumentationScope::builder("direct").build());
    let tracer = scene.recorder.tracer_with_scope(scope);
    let root = info_span!("root").entered();
    for base in [Context::new(), Context::current()] {
        for _ in 0..10_000 {
            let start = SpanStart {
                kind: SpanKind::Server,
                base: &base,
                remote: None,
                link: None,
                at: Instant::now(),
            };
            let name = || (Cow::Borrowed("span"), Vec::new());
            let started = catch_unwind(AssertUnwindSafe(|| {
                tracer.start_record(start, name, |_| std::panic::resume_unwind(Box::new(())))
            }));
            assert!(started.is_err());
        }
    }
    fail(&root);
    drop(root);
    assert_eq!(scene.spans().len(), 1);
    let counts = scene.recorder.counts();
    assert_eq!((counts.started, counts.not_held), (1, 0));
}

#[test]
fn traces_of_two_recorders_do_not_mix() {
    let scene = scene(rules());
    let memory = Memory::new(true);
    let other = Recorder::builder(memory.clone())
        .sampler_without_attributes(unsampled_roots())
        .keep(rules());
    let other = build(other);
    let root = info_span!("root");
    root.in_scope(|| {
        let span = tracer(&other).start("of the other");
        let context = Context::current_with_span(span);
        context.span().set_status(Status::error(""));
        let _entered = context.attach();
        drop(info_span!("child of the other"));
    });
    fail(&root);
    drop(root);
    assert_eq!(scene.spans().len(), 1);
    other.flush(LONG).unwrap();
    assert_eq!(memory.spans(), []);
}

#[test]
fn spans_of_unsampled_traces_are_not_recorded_without_rules() {
    let scene = Scene::with(unsampled_roots(), |layer| layer);
    let root = info_span!("root");
    root.in_scope(|| {
        keep_trace();
        assert!(!Context::current().span().is_recording());
        drop(info_span!("child"));
    });
    fail(&root);
    drop(root);
    assert_eq!(scene.spans(), []);
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
    support::wait_until("room", || kept() > 0);
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
            support::wait_until("room", || held() == 7_500);
        }));
        barrier.wait();
        assert!(result.is_ok(), "{before} of 7500 are held");
    });
}

/// `opentelemetry` reads attributes under the lock of the span in the context.
#[test]
fn a_span_that_starts_while_attributes_of_its_parent_are_read_is_held() {
    let (sender, spans) = mpsc::channel();
    std::thread::spawn(move || {
        let scene = scene(rules());
        let set_rows = || {
            let load = |row| info_span!("load").in_scope(|| KeyValue::new("row", row));
            Context::current().span().set_attributes((0..3).map(load));
        };
        let root = info_span!("root");
        root.in_scope(set_rows);
        root.in_scope(|| info_span!("child").in_scope(set_rows));
        fail(&root);
        drop(root);
        let mut direct = start_direct(&scene.recorder, None, Instant::now());
        let entered = direct.context.take().unwrap().attach();
        set_rows();
        drop(entered);
        direct.span.unwrap().set_status(Status::error(""));
        sender.send(scene.spans())
    });
    let spans = spans.recv_timeout(LONG).unwrap();
    let loads = spans.iter().filter(|span| span.name == "load");
    assert_eq!((loads.count(), spans.len()), (9, 12));
}

#[test]
fn an_unsampled_child_of_a_sampled_span_leaves_no_attribute() {
    #[derive(Clone, Debug)]
    struct OnlyRoots;

    impl ShouldSample for OnlyRoots {
        fn should_sample(
            &self,
            parent: Option<&Context>,
            _: TraceId,
            _: &str,
            _: &SpanKind,
            _: &[KeyValue],
            _: &[Link],
        ) -> SamplingResult {
            let is_root = parent.is_none_or(|parent| !parent.span().span_context().is_valid());
            SamplingResult {
                decision: match is_root {
                    true => SamplingDecision::RecordAndSample,
                    false => SamplingDecision::Drop,
                },
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            }
        }
    }

    let sampler: Box<dyn ShouldSample> = Box::new(OnlyRoots);
    let scene = Scene::built(
        |builder| builder.sampler(sampler).keep(rules()),
        |layer| layer.boxed(),
    );
    info_span!("tracing").in_scope(|| drop(info_span!("child")));
    let api = Context::new().with_span(tracer(&scene.recorder).start("api"));
    drop(tracer(&scene.recorder).start_with_context("child", &api));
    drop(api);
    for name in ["tracing", "api"] {
        assert_eq!(fields(&scene.span(name).attributes), [""; 0]);
    }
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
