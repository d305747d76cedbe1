//! Links, parents and attributes of the extension trait.

use crate::support::{Scene, assert_child, fields};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceContextExt},
};
use opentelemetry_sdk::trace::Sampler;
use tower_otel_recorder::{RecorderSpanExt, SetParentError};
use tracing::{Span, info, info_span};

use crate::remote::remote;

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
