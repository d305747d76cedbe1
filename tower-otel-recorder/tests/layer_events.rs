//! Events of `tracing` are recorded in the span they happen in.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{error::Error, io};

use opentelemetry::{
    Context, KeyValue,
    trace::{Event, Status, TraceContextExt},
};
use opentelemetry_sdk::trace::{Sampler, SpanLimits};
use support::{Scene, fields};
use tracing::{debug, error, info, info_span, level_filters::LevelFilter, warn};
use tracing_subscriber::Layer;

/// Name and fields of an event.
fn text(event: &Event) -> String {
    let fields = fields(&event.attributes).join(" ");
    format!("{} {fields}", event.name).trim_end().to_owned()
}

fn texts(scene: &Scene, span: &str) -> Vec<String> {
    scene.span(span).events.iter().map(text).collect()
}

#[test]
fn an_event_is_recorded_with_level_target_fields_and_location() {
    let scene = Scene::new();
    let line = line!() + 2;
    info_span!("span").in_scope(|| {
        warn!(target: "shop", amount = 3, name = "tea", ?line, "sold {}", 1);
    });
    let span = scene.span("span");
    let event = &span.events.events[0];
    assert_eq!(event.name, "sold 1");
    let expected = [
        KeyValue::new("level", "WARN"),
        KeyValue::new("target", "shop"),
        KeyValue::new("amount", 3),
        KeyValue::new("name", "tea"),
        KeyValue::new("line", line.to_string()),
        KeyValue::new("code.file.path", file!()),
        KeyValue::new("code.line.number", i64::from(line)),
    ];
    assert_eq!(event.attributes, expected);
    assert!(event.timestamp >= span.start_time);
    assert!(event.timestamp <= span.end_time);
}

#[test]
fn an_event_belongs_to_its_explicit_parent_or_to_the_entered_span() {
    let scene = Scene::new();
    let other = info_span!("other");
    info_span!("entered").in_scope(|| {
        info!("contextual");
        info!(parent: &other, "explicit");
        info!(parent: None, "root");
    });
    info!("outside");
    drop(other);
    assert_eq!(texts(&scene, "entered"), ["contextual"]);
    assert_eq!(texts(&scene, "other"), ["explicit"]);
}

#[test]
fn events_are_recorded_from_a_level_on() {
    for (level, expected) in [
        (None, "info warn error"),
        (Some(LevelFilter::TRACE), "debug info warn error"),
        (Some(LevelFilter::WARN), "warn error"),
        (Some(LevelFilter::OFF), ""),
    ] {
        let scene = Scene::with(Sampler::AlwaysOn, |layer| match level {
            Some(level) => layer.events(level),
            None => layer,
        });
        info_span!("span").in_scope(|| {
            debug!("debug");
            info!("info");
            warn!("warn");
            error!("error");
        });
        assert_eq!(texts(&scene, "span").join(" "), expected);
        // The status does not depend on the option.
        assert_eq!(scene.span("span").status, Status::error(""));
    }
}

#[test]
fn an_event_without_a_message_has_the_name_of_its_callsite() {
    let scene = Scene::new();
    info_span!("span").in_scope(|| info!(number = 1));
    let name = texts(&scene, "span").remove(0);
    assert!(name.starts_with("event "), "{name}");
    assert!(name.ends_with(" number=1"), "{name}");
}

#[test]
fn a_returned_error_becomes_an_exception_and_the_status() {
    #[tracing::instrument(err)]
    fn fail() -> io::Result<()> {
        Err(io::Error::other("no disk"))
    }
    let scene = Scene::new();
    fail().unwrap_err();
    assert_eq!(
        texts(&scene, "fail"),
        ["exception exception.message=\"no disk\""]
    );
    assert_eq!(scene.span("fail").status, Status::error("no disk"));
}

#[test]
fn an_error_in_a_field_is_recorded_with_its_causes() {
    let scene = Scene::new();
    let inner = io::Error::other("no disk");
    let outer = io::Error::other(inner);
    let error: &(dyn Error + 'static) = &outer;
    info_span!("span").in_scope(|| {
        info!(cause = error, "failed");
        info!(error, "failed");
        info!(error);
    });
    let exception = "exception.message=\"no disk\"";
    let expected = [
        format!("failed cause=\"no disk\" {exception}"),
        format!("failed error=\"no disk\" {exception}"),
        format!("exception error=\"no disk\" {exception}"),
    ];
    assert_eq!(texts(&scene, "span"), expected);
    assert_eq!(scene.span("span").status, Status::error("no disk"));
}

#[test]
fn an_error_in_an_event_with_a_message_is_an_attribute() {
    let scene = Scene::new();
    info_span!("span").in_scope(|| info!(error = "none", "checked"));
    assert_eq!(texts(&scene, "span"), ["checked error=\"none\""]);
    assert_eq!(scene.span("span").status, Status::Unset);
}

#[test]
fn a_record_of_the_log_crate_keeps_its_target_and_location() {
    let scene = Scene::new();
    info_span!("span").in_scope(|| {
        info!(
            target: "log",
            { log.target = "shop", log.module_path = "shop::tea", log.file = "tea.rs", log.line = 7_u64 },
            "sold"
        );
    });
    let expected = [
        KeyValue::new("level", "INFO"),
        KeyValue::new("target", "shop"),
        KeyValue::new("code.file.path", "tea.rs"),
        KeyValue::new("code.line.number", 7),
    ];
    assert_eq!(scene.span("span").events.events[0].attributes, expected);
}

#[test]
fn events_of_both_apis_are_in_the_order_of_their_times() {
    let scene = Scene::new();
    info_span!("span").in_scope(|| {
        for n in 0..3 {
            info!(n, "tracing");
            Context::current().span().add_event("api", Vec::new());
        }
    });
    let expected = [
        "tracing n=0",
        "api",
        "tracing n=1",
        "api",
        "tracing n=2",
        "api",
    ];
    assert_eq!(texts(&scene, "span"), expected);
}

#[test]
fn events_and_their_attributes_over_the_limit_are_counted() {
    let limits = SpanLimits {
        max_events_per_span: 3,
        max_attributes_per_event: 3,
        ..SpanLimits::default()
    };
    let scene = Scene::built(|builder| builder.limits(limits), |layer| layer.boxed());
    info_span!("span").in_scope(|| {
        Context::current().span().add_event("api", Vec::new());
        for n in 0..5 {
            info!(n, "tracing");
        }
    });
    let events = scene.span("span").events;
    assert_eq!((events.events.len(), events.dropped_count), (3, 3));
    let last = &events.events[2];
    assert_eq!(
        (last.attributes.len(), last.dropped_attributes_count),
        (3, 2)
    );
}

#[test]
fn nothing_is_recorded_in_a_span_that_is_not_sampled() {
    let scene = Scene::with(Sampler::AlwaysOff, |layer| layer);
    info_span!("span").in_scope(|| error!("lost"));
    assert_eq!(scene.spans().len(), 0);
}
