//! The limit of attribute values does not apply to names and descriptions.
//!
//! <https://opentelemetry.io/docs/specs/otel/common/#attribute-limits>

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use opentelemetry::{
    KeyValue,
    trace::{Span, Status, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SpanData;
use tracing::{
    field::{Empty, display},
    info, info_span,
};

use crate::support::Scene;

fn scene() -> Scene {
    Scene::built(|builder| builder.text_length(5), |layer| Box::new(layer))
}

fn texts(span: &SpanData) -> Vec<String> {
    let events = span.events.iter();
    let attributes = events
        .flat_map(|event| &event.attributes)
        .chain(&span.attributes);
    attributes
        .filter(|attribute| ["text", "otel.other"].contains(&attribute.key.as_str()))
        .map(|attribute| attribute.value.to_string())
        .collect()
}

#[test]
fn names_and_descriptions_of_tracing_spans_are_not_cut() {
    let scene = scene();
    drop(info_span!(
        "span",
        text = "too long",
        otel.name = "GET /users/{id}",
        otel.status_code = "ERROR",
        otel.status_description = "not available",
        otel.other = ?"not a setting",
    ));
    let late = info_span!("span", otel.name = Empty);
    late.in_scope(|| {
        info!(text = "too long", "user {} is created", 7);
        info!(message = "a static message");
    });
    late.record("otel.name", display("GET /users/{id}"));
    drop(late);

    let spans = scene.spans();
    assert_eq!(spans[0].name, "GET /users/{id}");
    assert_eq!(spans[0].status, Status::error("not available"));
    assert_eq!(texts(&spans[0]), ["too l", "\"not "]);
    assert_eq!(spans[1].name, "GET /users/{id}");
    let events = spans[1].events.iter();
    let names: Vec<_> = events.map(|event| event.name.as_ref()).collect();
    assert_eq!(names, ["user 7 is created", "a static message"]);
    assert_eq!(texts(&spans[1]), ["too l"]);
}

#[test]
fn names_and_descriptions_of_api_spans_are_not_cut() {
    let scene = scene();
    let tracer = scene.recorder.tracer_provider().tracer("");
    let mut span = tracer.start("GET /users");
    span.add_event("first attempt", vec![KeyValue::new("text", "too long")]);
    span.set_status(Status::error("not available"));
    span.end();
    let mut span = tracer.start("GET /users");
    span.update_name("GET /users/{id}");
    span.end();

    let spans = scene.spans();
    assert_eq!(spans[0].name, "GET /users");
    assert_eq!(spans[0].status, Status::error("not available"));
    assert_eq!(spans[0].events.events[0].name, "first attempt");
    assert_eq!(texts(&spans[0]), ["too l"]);
    assert_eq!(spans[1].name, "GET /users/{id}");
}
