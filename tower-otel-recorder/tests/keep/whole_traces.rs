//! All spans of a kept trace are exported together.

use std::time::Instant;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Link, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use tower_otel_recorder::{Recorder, RecorderSpanExt, keep_trace};
use tracing::info_span;
use tracing_subscriber::Layer;

use crate::{
    scene::{fail, reason, rules, scene, start_direct, tracer, traces, unsampled_roots},
    support::{LONG, Memory, Scene, assert_child, build, fields},
};

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
                let (context, mut span) = (started.context.unwrap(), started.span);
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
    let mut direct = start_direct(&scene.recorder, Some(caller), Instant::now());
    direct.span.set_status(Status::error(""));
    drop(direct);
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
