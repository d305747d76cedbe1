//! The parent of a span is the same for `tracing`, the OpenTelemetry API and remote callers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanContext, Status, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::Sampler;
use support::{Scene, assert_child, assert_root, fields};
use tracing::{debug_span, info, info_span};
use tracing_subscriber::filter::LevelFilter;

fn remote(flags: u8) -> SpanContext {
    let state = TraceState::from_key_value([("a", "1")]).unwrap();
    let (trace, span) = (TraceId::from(7), SpanId::from(8));
    SpanContext::new(trace, span, TraceFlags::new(flags), true, state)
}

/// A context with a span of another process.
fn caller(flags: u8) -> Context {
    Context::new().with_remote_span_context(remote(flags))
}

fn current_span() -> SpanContext {
    Context::current().span().span_context().clone()
}

#[test]
fn a_span_is_the_child_of_the_entered_span() {
    let scene = Scene::new();
    info_span!("a").in_scope(|| {
        info_span!("b").in_scope(|| drop(info_span!("c")));
        drop(info_span!("d"));
    });
    drop(info_span!("e"));
    assert_root(&scene.span("a"));
    assert_child(&scene.span("b"), &scene.span("a"));
    assert_child(&scene.span("c"), &scene.span("b"));
    assert_child(&scene.span("d"), &scene.span("a"));
    assert_root(&scene.span("e"));
}

#[test]
fn an_explicit_parent_precedes_the_entered_span() {
    let scene = Scene::new();
    let parent = info_span!("parent");
    info_span!("entered").in_scope(|| {
        drop(info_span!(parent: &parent, "child"));
        drop(info_span!(parent: None, "root"));
    });
    drop(parent);
    assert_child(&scene.span("child"), &scene.span("parent"));
    assert_root(&scene.span("root"));
}

#[test]
fn a_remote_parent_is_recorded_with_its_trace_state_and_flags() {
    let scene = Scene::new();
    {
        let _caller = caller(0x03).attach();
        drop(info_span!("server"));
    }
    let span = scene.span("server");
    assert_eq!(span.parent_span_id, remote(0).span_id());
    assert!(span.parent_span_is_remote);
    let context = &span.span_context;
    assert_eq!(context.trace_id(), remote(0).trace_id());
    assert_eq!(context.trace_state(), remote(0).trace_state());
    assert_eq!(context.trace_flags().to_u8(), 0x03);
    assert!(!context.is_remote());
}

#[test]
fn spans_of_both_apis_nest_in_both_directions() {
    let scene = Scene::new();
    let tracer = scene.recorder.tracer_provider().tracer("api");
    info_span!("outer").in_scope(|| {
        tracer.in_span("middle", |_| {
            info_span!("inner").in_scope(|| tracer.in_span("innermost", |_| ()));
        });
    });
    assert_root(&scene.span("outer"));
    assert_child(&scene.span("middle"), &scene.span("outer"));
    assert_child(&scene.span("inner"), &scene.span("middle"));
    assert_child(&scene.span("innermost"), &scene.span("inner"));
}

#[test]
fn the_entered_span_is_current_in_the_opentelemetry_context() {
    let scene = Scene::new();
    let outside = current_span();
    let entered = info_span!("span").in_scope(current_span);
    assert_eq!(scene.span("span").span_context, entered);
    assert_eq!(current_span(), outside);
    assert!(!outside.is_valid());
}

#[test]
fn the_current_context_changes_the_span() {
    let scene = Scene::new();
    info_span!("span").in_scope(|| {
        let context = Context::current();
        let span = context.span();
        assert!(span.is_recording());
        span.update_name("renamed");
        span.set_attribute(KeyValue::new("late", 1));
        span.set_status(Status::error("bad"));
        span.add_link(remote(1), Vec::new());
        span.add_event("event", Vec::new());
    });
    let span = scene.span("renamed");
    assert_eq!(fields(&span.attributes), ["late=1"]);
    assert_eq!(span.status, Status::error("bad"));
    assert_eq!((span.links.links.len(), span.events.events.len()), (1, 1));
}

#[test]
fn baggage_of_the_context_is_visible_inside_the_span() {
    #[derive(Debug, PartialEq)]
    struct Tenant(u8);
    let _scene = Scene::new();
    let _tenant = Context::current_with_value(Tenant(7)).attach();
    info_span!("span").in_scope(|| {
        assert_eq!(Context::current().get(), Some(&Tenant(7)));
    });
}

#[test]
fn a_span_that_a_filter_or_the_level_hides_is_left_out_of_the_trace() {
    let by_level = |activate: bool| {
        Scene::with(Sampler::AlwaysOn, |layer| {
            layer.spans(LevelFilter::INFO).activate_context(activate)
        })
    };
    let scenes: [&dyn Fn() -> Scene; 3] = [
        &|| Scene::filtered(LevelFilter::INFO),
        &|| by_level(true),
        &|| by_level(false),
    ];
    for scene in scenes {
        let scene = scene();
        info_span!("a").in_scope(|| {
            debug_span!("hidden").in_scope(|| {
                drop(info_span!("b"));
                info!("event");
            });
            let hidden = debug_span!("hidden");
            drop(info_span!(parent: &hidden, "c"));
        });
        debug_span!("hidden").in_scope(|| drop(info_span!("root")));
        assert_eq!(scene.spans().len(), 4);
        assert_child(&scene.span("b"), &scene.span("a"));
        assert_child(&scene.span("c"), &scene.span("a"));
        assert_root(&scene.span("root"));
        assert_eq!(scene.span("a").events.len(), 1);
    }
}

#[test]
fn a_span_in_a_task_whose_span_the_level_hides_is_a_child_of_the_next_ancestor() {
    for activate in [true, false] {
        let scene = Scene::with(Sampler::AlwaysOn, |layer| {
            layer.spans(LevelFilter::INFO).activate_context(activate)
        });
        let outside = current_span();
        let task = info_span!("a").in_scope(|| debug_span!("task"));
        task.in_scope(|| drop(info_span!("b")));
        assert_eq!(current_span(), outside);
        // Another thread polls the task.
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        let polled = task.clone();
        std::thread::spawn(move || {
            tracing::dispatcher::with_default(&subscriber, || {
                polled.in_scope(|| drop(info_span!("c")));
            });
        })
        .join()
        .unwrap();
        drop(task);
        assert_child(&scene.span("b"), &scene.span("a"));
        assert_child(&scene.span("c"), &scene.span("a"));
    }
}

#[test]
fn a_context_that_is_attached_around_a_hidden_span_is_the_parent() {
    let scene = Scene::with(Sampler::AlwaysOn, |layer| layer.spans(LevelFilter::INFO));
    info_span!("a").in_scope(|| {
        let _caller = caller(0x01).attach();
        debug_span!("hidden").in_scope(|| drop(info_span!("b")));
    });
    assert_eq!(
        scene.span("b").span_context.trace_id(),
        remote(0).trace_id()
    );
}

#[test]
fn a_disabled_span_keeps_the_context_of_its_parent() {
    let scene = Scene::new();
    info_span!("a").in_scope(|| {
        tracing::Span::none().in_scope(|| drop(info_span!("b")));
    });
    assert_child(&scene.span("b"), &scene.span("a"));
}

#[test]
fn spans_that_are_not_sampled_propagate_their_own_ids_and_the_random_flag() {
    for sampler in [
        Sampler::AlwaysOff,
        Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
    ] {
        let scene = Scene::with(sampler, |layer| layer);
        let _caller = caller(0x02).attach();
        let (outer, inner) = info_span!("outer", a = 1).in_scope(|| {
            let outer = current_span();
            (outer, info_span!("inner").in_scope(current_span))
        });
        for span in [&outer, &inner] {
            assert_eq!(span.trace_id(), remote(0).trace_id());
            assert_eq!(span.trace_state(), remote(0).trace_state());
            assert_eq!(span.trace_flags().to_u8(), 0x02);
        }
        assert_ne!(outer.span_id(), remote(0).span_id());
        assert_ne!(outer.span_id(), inner.span_id());
        assert_eq!(scene.spans().len(), 0);
    }
}

#[test]
fn a_root_span_that_is_not_sampled_has_a_context() {
    let scene = Scene::with(Sampler::AlwaysOff, |layer| layer);
    let context = info_span!("span").in_scope(current_span);
    assert!(context.is_valid() && !context.is_sampled());
    assert_eq!(scene.spans().len(), 0);
}

#[test]
fn a_sampler_sees_name_kind_and_fields() {
    use opentelemetry::trace::{Link, SpanKind};
    use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
    use tracing_subscriber::Layer;

    #[derive(Clone, Debug)]
    struct Orders;

    impl ShouldSample for Orders {
        fn should_sample(
            &self,
            _: Option<&Context>,
            _: TraceId,
            name: &str,
            kind: &SpanKind,
            attributes: &[KeyValue],
            _: &[Link],
        ) -> SamplingResult {
            let is_order = name == "order"
                && *kind == SpanKind::Consumer
                && fields(attributes) == ["amount=3"];
            SamplingResult {
                decision: if is_order {
                    SamplingDecision::RecordAndSample
                } else {
                    SamplingDecision::Drop
                },
                attributes: vec![KeyValue::new("sampler", "orders")],
                trace_state: TraceState::NONE,
            }
        }
    }

    let scene = Scene::built(|builder| builder.sampler(Orders), |layer| layer.boxed());
    drop(info_span!(
        "span",
        otel.name = "order",
        otel.kind = "consumer",
        amount = 3
    ));
    drop(info_span!(
        "span",
        otel.name = "order",
        otel.kind = "consumer",
        amount = 4
    ));
    let span = scene.span("order");
    assert_eq!(fields(&span.attributes), ["amount=3", "sampler=\"orders\""]);
}

#[test]
fn without_context_activation_tracing_spans_have_their_parents() {
    let scene = Scene::with(Sampler::AlwaysOn, |layer| layer.activate_context(false));
    let _caller = caller(0x01).attach();
    info_span!("a").in_scope(|| {
        assert_eq!(current_span(), remote(0x01));
        drop(info_span!("b"));
    });
    assert_eq!(scene.span("a").parent_span_id, remote(0).span_id());
    assert_child(&scene.span("b"), &scene.span("a"));
}

#[test]
fn nothing_is_recorded_where_telemetry_is_suppressed() {
    let scene = Scene::new();
    {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        info_span!("hidden").in_scope(|| tracing::error!("hidden"));
    }
    info_span!("a").in_scope(|| {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        drop(info_span!("hidden"));
    });
    assert_eq!(scene.spans().len(), 1);
}

#[test]
fn a_span_with_a_declared_parent_is_not_recorded_where_telemetry_is_suppressed() {
    for activates_context in [true, false] {
        let scene = Scene::with(Sampler::AlwaysOn, |layer| {
            layer.activate_context(activates_context)
        });
        let parent = info_span!("parent");
        {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            drop(info_span!(parent: None, "root"));
            drop(info_span!(parent: &parent, "child"));
        }
        drop(info_span!(parent: &parent, "recorded"));
        drop(parent);
        let names = scene.spans().into_iter().map(|span| span.name);
        assert_eq!(names.collect::<Vec<_>>(), ["recorded", "parent"]);
    }
}

#[test]
fn a_span_of_the_api_has_what_its_builder_says() {
    use opentelemetry::trace::{Event, Link, SpanKind};
    use std::time::{Duration, SystemTime};

    let scene = Scene::new();
    let tracer = scene.recorder.tracer_provider().tracer("api");
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut span = tracer
        .span_builder("name")
        .with_kind(SpanKind::Producer)
        .with_start_time(at(5))
        .with_attributes([KeyValue::new("a", 1)])
        .with_events(vec![Event::new("first", at(6), Vec::new(), 0)])
        .with_links(vec![Link::with_context(remote(1))])
        .start_with_context(&tracer, &caller(0x01));
    assert!(span.is_recording());
    span.set_attribute(KeyValue::new("b", "2"));
    span.add_event_with_timestamp("second", at(7), vec![KeyValue::new("c", 3)]);
    span.set_status(Status::Ok);
    span.update_name("renamed");
    span.end_with_timestamp(at(9));
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("late", 1));
    let exported = scene.span("renamed");
    assert_eq!(exported.span_context, *span.span_context());
    assert_eq!(exported.parent_span_id, remote(0).span_id());
    assert_eq!(exported.span_kind, SpanKind::Producer);
    assert_eq!(fields(&exported.attributes), ["a=1", "b=\"2\""]);
    assert_eq!((exported.start_time, exported.end_time), (at(5), at(9)));
    let events: Vec<_> = exported
        .events
        .iter()
        .map(|event| event.name.clone())
        .collect();
    assert_eq!(events, ["first", "second"]);
    assert_eq!(exported.links.links[0].span_context, remote(1));
    assert_eq!(exported.status, Status::Ok);
    assert_eq!(exported.instrumentation_scope.name(), "api");
}

#[test]
fn a_span_of_the_api_that_is_not_sampled_has_a_context() {
    let scene = Scene::with(Sampler::AlwaysOff, |layer| layer);
    let tracer = scene.recorder.tracer_provider().tracer("api");
    let span = tracer.start_with_context("span", &caller(0x03));
    assert!(!span.is_recording());
    assert_eq!(span.span_context().trace_flags().to_u8(), 0x02);
    drop(span);
    assert_eq!(scene.spans().len(), 0);
}
