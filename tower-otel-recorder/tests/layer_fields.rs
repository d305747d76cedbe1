//! The fields of `tracing` spans become attributes, names, kinds and statuses.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{error::Error, fmt};

use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::{Sampler, SpanLimits};
use support::{Scene, fields};
use tracing::{field, info_span};
use tracing_subscriber::Layer;

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Refused {}

#[derive(Debug)]
struct Failed(Refused);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn fields_of_every_type_become_attributes() {
    let scene = Scene::new();
    let text = String::from("text");
    drop(info_span!(
        "span",
        a_str = "a\u{e9}",
        b_string = text,
        c_bool = true,
        d_i64 = -7,
        e_u64 = 7_u64,
        f_u64_max = u64::MAX,
        g_i128 = i128::MIN,
        h_u128 = u128::MAX,
        i_f64 = 0.5,
        j_debug = ?Some("x"),
        k_display = %Refused,
        l_none = Option::<i64>::None,
        m_some = Some(1),
        n_empty = field::Empty,
    ));
    let expected = [
        "a_str=\"a\u{e9}\"",
        "b_string=\"text\"",
        "c_bool=true",
        "d_i64=-7",
        "e_u64=7",
        "f_u64_max=\"18446744073709551615\"",
        "g_i128=\"-170141183460469231731687303715884105728\"",
        "h_u128=\"340282366920938463463374607431768211455\"",
        "i_f64=0.5",
        "j_debug=\"Some(\\\"x\\\")\"",
        "k_display=\"refused\"",
        "m_some=1",
    ];
    assert_eq!(fields(&scene.span("span").attributes), expected);
}

#[test]
fn an_error_is_recorded_with_its_causes() {
    let scene = Scene::new();
    let error = Failed(Refused);
    drop(info_span!("span", cause = &error as &(dyn Error + 'static)));
    let expected = [
        "cause=\"failed\"",
        "exception.message=\"failed\"",
        "exception.stacktrace=\"caused by: refused\"",
    ];
    assert_eq!(fields(&scene.span("span").attributes), expected);
}

#[test]
fn fields_are_recorded_until_the_span_closes() {
    let scene = Scene::new();
    let span = info_span!("span", first = 1, late = field::Empty, later = field::Empty);
    span.record("late", 2);
    span.in_scope(|| span.record("later", "3"));
    drop(span);
    let expected = ["first=1", "late=2", "later=\"3\""];
    assert_eq!(fields(&scene.span("span").attributes), expected);
}

#[test]
fn otel_fields_set_name_kind_and_status() {
    let scene = Scene::new();
    drop(info_span!(
        "span",
        otel.name = "GET /",
        otel.kind = "SERVER",
        otel.status_code = "error",
        otel.status_description = "no answer",
        otel.other = 1,
    ));
    let span = scene.span("GET /");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.status, Status::error("no answer"));
    assert_eq!(fields(&span.attributes), ["otel.other=1"]);
}

#[test]
fn otel_fields_may_be_recorded_late_and_as_any_text() {
    let scene = Scene::new();
    let span = info_span!(
        "span",
        otel.name = field::Empty,
        otel.kind = field::Empty,
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
    );
    span.in_scope(|| ());
    span.record("otel.name", field::display("late"));
    span.record("otel.kind", field::display("Client"));
    span.record("otel.status_description", field::display("reset"));
    span.record("otel.status_code", "ERROR");
    drop(span);
    let span = scene.span("late");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.status, Status::error("reset"));
    assert_eq!(fields(&span.attributes), [""; 0]);
}

#[test]
fn every_kind_and_status_is_known() {
    let scene = Scene::new();
    for kind in ["server", "client", "producer", "consumer", "internal", "?"] {
        drop(info_span!("kind", otel.kind = kind));
    }
    for status in ["ok", "Error", "unset", "?"] {
        drop(info_span!("status", otel.status_code = status));
    }
    let spans = scene.spans();
    let kinds: Vec<_> = spans
        .iter()
        .map(|span| span.span_kind.clone())
        .take(6)
        .collect();
    let expected = [
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
        SpanKind::Internal,
        SpanKind::Internal,
    ];
    assert_eq!(kinds, expected);
    let statuses: Vec<_> = spans
        .iter()
        .map(|span| span.status.clone())
        .skip(6)
        .collect();
    let expected = [Status::Ok, Status::error(""), Status::Unset, Status::Unset];
    assert_eq!(statuses, expected);
}

#[test]
fn a_value_that_panics_while_it_is_formatted_does_not_disturb_the_application() {
    struct Panics;
    impl fmt::Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a panic of the test")
        }
    }
    let scene = Scene::new();
    let span = info_span!("span", first = ?Panics, late = field::Empty);
    span.record("late", field::debug(Panics));
    drop(span);
    let expected = [
        "first=\"<panicked while formatting>\"",
        "late=\"<panicked while formatting>\"",
    ];
    assert_eq!(fields(&scene.span("span").attributes), expected);
}

#[test]
fn a_value_that_uses_tracing_while_it_is_formatted_does_not_block() {
    struct Logs;
    impl fmt::Debug for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::Span::current().record("inner", "recorded");
            tracing::info!(number = 1, "formatting");
            f.write_str("formatted")
        }
    }
    let scene = Scene::new();
    let span = info_span!("span", late = field::Empty, inner = field::Empty);
    span.in_scope(|| {
        tracing::Span::current().record("late", field::debug(Logs));
        tracing::info!(value = ?Logs, "outer");
        drop(info_span!("child", value = ?Logs));
    });
    drop(span);
    let span = scene.span("span");
    // `tracing` itself drops events that are emitted while it creates a span or an event.
    assert_eq!(span.events.events.len(), 2);
    assert_eq!(
        fields(&scene.span("child").attributes),
        ["value=\"formatted\""]
    );
    let late = fields(&span.attributes);
    assert!(late.contains(&"late=\"formatted\"".to_owned()), "{late:?}");
}

#[test]
fn the_callsite_of_a_span_is_recorded() {
    let scene = Scene::new();
    let line = line!() + 1;
    drop(info_span!(target: "shop", "span"));
    let expected = [
        KeyValue::new("code.file.path", file!()),
        KeyValue::new("code.line.number", i64::from(line)),
        KeyValue::new("target", "shop"),
    ];
    assert_eq!(scene.span("span").attributes, expected);
}

#[test]
fn options_decide_what_of_the_callsite_is_recorded() {
    let scene = Scene::with(Sampler::AlwaysOn, |layer| {
        layer.location(false).target(false).level(true)
    });
    drop(info_span!("span"));
    assert_eq!(
        scene.span("span").attributes,
        [KeyValue::new("level", "INFO")]
    );
}

#[test]
fn attributes_over_the_limit_are_counted() {
    let limits = SpanLimits {
        max_attributes_per_span: 4,
        ..SpanLimits::default()
    };
    let scene = Scene::built(|builder| builder.limits(limits), |layer| layer.boxed());
    drop(info_span!("span", a = 1, b = 2, c = 3));
    let span = scene.span("span");
    assert_eq!(
        (span.attributes.len(), span.dropped_attributes_count),
        (4, 2)
    );
}

#[test]
fn fields_that_are_recorded_without_end_are_counted() {
    let scene = Scene::with(Sampler::AlwaysOn, |layer| {
        layer.location(false).target(false)
    });
    let span = info_span!("span", n = 0, otel.name = field::Empty);
    for n in 1..1_000 {
        span.record("n", n);
        span.record("otel.name", "x".repeat(n));
    }
    drop(span);
    let span = scene.span(&"x".repeat(999));
    assert_eq!(span.attributes.len(), 128);
    assert_eq!(span.dropped_attributes_count, 872);
}

#[test]
fn instrumented_functions_record_their_arguments() {
    #[tracing::instrument(fields(otel.kind = "client", extra = n * 2))]
    fn order(n: i64, name: &str) -> i64 {
        n
    }
    let scene = Scene::new();
    assert_eq!(order(4, "tea"), 4);
    let span = scene.span("order");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(fields(&span.attributes), ["extra=8", "n=4", "name=\"tea\""]);
}
