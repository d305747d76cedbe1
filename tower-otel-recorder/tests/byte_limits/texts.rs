//! A text has a maximum length.

use std::{
    fmt::{self, Debug},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use tower_otel_recorder::RecorderSpanExt;
use tracing::{field, info, info_span};
use tracing_subscriber::Layer;

use crate::support::Scene;

/// The value of the only attribute with this key.
pub(crate) fn value(attributes: &[KeyValue], key: &str) -> String {
    let mut found = attributes
        .iter()
        .filter(|attribute| attribute.key.as_str() == key);
    match (found.next(), found.next()) {
        (Some(attribute), None) => attribute.value.as_str().into_owned(),
        _ => panic!("expected one attribute {key}: {attributes:?}"),
    }
}

/// A megabyte of characters of two bytes.
pub(crate) fn megabyte() -> String {
    "\u{e9}".repeat(512 << 10)
}

pub(crate) fn cut() -> String {
    "\u{e9}".repeat(4096)
}

#[test]
fn a_megabyte_of_text_is_cut_to_4096_characters_wherever_it_is() {
    #[derive(Debug)]
    struct Long(#[allow(dead_code, reason = "only for Debug")] String);

    let scene = Scene::built(
        |builder| builder.record_bytes(1 << 20),
        |layer| layer.boxed(),
    );
    let long = megabyte();
    let error: Box<dyn std::error::Error + Send + Sync> = long.clone().into();
    let error = &*error as &(dyn std::error::Error + 'static);
    let span = info_span!(
        "span",
        path = long,
        display = %long,
        debug = ?Long(long.clone()),
        late = field::Empty,
        error,
        otel.name = long,
        otel.status_code = "ERROR",
        otel.status_description = long,
    );
    span.record("late", &*long);
    span.set_attribute("set", long.clone());
    span.in_scope(|| {
        info!(path = long, "{long}");
        Context::current()
            .span()
            .set_attribute(KeyValue::new("handler", long.clone()));
    });
    drop(span);
    let spans = scene.spans();
    let [span] = &*spans else { panic!("{spans:?}") };
    for key in [
        "path",
        "display",
        "late",
        "error",
        "exception.message",
        "set",
        "handler",
    ] {
        assert!(value(&span.attributes, key) == cut(), "{key}");
    }
    let debug = value(&span.attributes, "debug");
    assert!(debug.starts_with("Long(\"") && debug.chars().count() == 4096);
    assert!(span.name == cut());
    assert!(span.status == Status::error(cut()));
    let [event] = &*span.events.events else {
        panic!("{:?}", span.events);
    };
    assert!(event.name == cut());
    assert!(value(&event.attributes, "path") == cut());
}

#[test]
fn the_length_of_a_text_is_an_option_and_counts_characters() {
    let scene = Scene::built(
        |builder| builder.text_length(3),
        |layer| Box::new(layer.location(false).target(false)),
    );
    for (text, recorded) in [
        ("", ""),
        ("abc", "abc"),
        ("abcd", "abc"),
        (
            "\u{20ac}\u{20ac}\u{20ac}\u{20ac}",
            "\u{20ac}\u{20ac}\u{20ac}",
        ),
        ("a\u{1f600}bc", "a\u{1f600}b"),
    ] {
        drop(info_span!("span", text, display = %text, address = %"192.0.2.7"));
        let span = scene.spans().pop().unwrap();
        assert_eq!(value(&span.attributes, "text"), recorded);
        assert_eq!(value(&span.attributes, "display"), recorded);
        assert_eq!(value(&span.attributes, "address"), "192");
        assert_eq!(span.dropped_attributes_count, 0);
    }
}

/// Writes 100 MB, unless it is stopped.
struct Endless<'a> {
    written: &'a AtomicUsize,
    ignores_errors: bool,
}

impl Debug for Endless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobyte = "x".repeat(1_000);
        for _ in 0..100_000 {
            let result = f.write_str(&kilobyte);
            if !self.ignores_errors {
                result?;
            }
            self.written.fetch_add(1_000, SeqCst);
        }
        Ok(())
    }
}

#[test]
fn a_value_that_formats_without_end_is_stopped() {
    let scene = Scene::new();
    for ignores_errors in [false, true] {
        let written = &AtomicUsize::new(0);
        let endless = Endless {
            written,
            ignores_errors,
        };
        drop(info_span!("span", ?endless));
        let span = scene.spans().pop().unwrap();
        assert_eq!(value(&span.attributes, "endless"), "x".repeat(4096));
        assert_eq!(written.load(SeqCst) < 20_000, !ignores_errors);
    }
}

#[test]
fn a_value_that_panics_because_it_is_stopped_is_cut() {
    struct Insists;
    impl Debug for Insists {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..100 {
                f.write_str(&"x".repeat(1_000)).unwrap();
            }
            Ok(())
        }
    }
    let scene = Scene::new();
    drop(info_span!("span", insists = ?Insists));
    let span = scene.span("span");
    assert_eq!(value(&span.attributes, "insists"), "x".repeat(4096));
}
