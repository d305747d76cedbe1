//! The fields are the same as in `tracing-subscriber`'s own format.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Value;
use tracing::Span;
use tracing::field::Empty;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::{COMPACT_LENGTH, JsonFields};
use crate::live_log_filter::LiveLogFilter;
use crate::log_lines;
use crate::options::{LogFormat, LogTraces};
use crate::test_output::TestOutput;

type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Returns the span of a line within it, written by `layer`.
fn span_of_line(layer: impl FnOnce(TestOutput) -> BoxLayer, span: impl FnOnce() -> Span) -> Value {
    let output = TestOutput::default();
    let subscriber = tracing_subscriber::registry().with(layer(output.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let _span = span().entered();
        tracing::info!("line");
    });
    let line: Value = serde_json::from_str(&output.text()).unwrap();
    line["span"].clone()
}

#[test]
fn a_line_outside_of_any_span_has_no_fields_of_the_entered_span() {
    let output = TestOutput::default();
    let subscriber = tracing_subscriber::registry().with(own(output.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("entered", a = 1).entered();
        tracing::info!(parent: None, "line");
    });
    let line: Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!(line["span"], Value::Null, "{line}");
}

/// Returns the layer of log lines.
fn own(output: TestOutput) -> BoxLayer {
    let filter = LiveLogFilter::new("info", LogTraces::All).layer_filter();
    log_lines::layer(LogFormat::Json, filter, move || output.clone())
}

/// Checks that both formats give the same fields, and returns them.
fn same_fields(span: fn() -> Span) -> Value {
    let original = |output: TestOutput| {
        let layer = tracing_subscriber::fmt::layer().json();
        layer.with_writer(move || output.clone()).boxed()
    };
    let fields = span_of_line(own, span);
    assert_eq!(fields, span_of_line(original, span));
    fields
}

#[test]
fn values_of_every_type_are_those_of_the_original_format() {
    let fields = same_fields(|| {
        tracing::info_span!(
            "span",
            text = "plain",
            empty = "",
            quoted = "a \"b\" \\ c",
            control = "a\n\r\t\0\u{1b}[2J\u{7f}",
            unicode = "ä→😀\u{2028}",
            display = %"a \"b\"\n",
            debug = ?["a", "b"],
            bytes = &b"ab"[..],
            integer = -1,
            large = u64::MAX,
            larger = u128::MAX,
            whole = 1.0,
            small = 1e-300,
            big = 1e300,
            not_a_number = f64::NAN,
            infinite = f64::INFINITY,
            is = true,
            r#type = ?1,
            error.r#type = "timeout",
            "a \"quoted\" name" = 1,
            "a\"b" = 1,
            b = 2,
            log.target = ?1,
            none = None::<&str>,
            later = Empty,
        )
    });
    assert_eq!(fields["whole"], 1.0);
    assert_eq!(fields["quoted"], "a \"b\" \\ c");
    assert_eq!(fields["name"], "span");
}

#[test]
fn late_values_are_added_and_replace_earlier_ones() {
    let fields = same_fields(|| {
        let span = tracing::info_span!(
            "span",
            first = "a \"first\":1,",
            list = &b"ab"[..],
            late = Empty,
            last = 1,
        );
        for value in ["a,\"b\"", "\\", "[", "c"] {
            span.record("late", value);
            span.record("first", value);
            span.record("list", &b"abc"[..]);
            span.record("last", 2);
        }
        span
    });
    assert_eq!(fields["first"], "c");
    assert_eq!(fields["list"], serde_json::json!(*b"abc"));
}

#[test]
fn a_span_without_fields_gets_late_ones() {
    let fields = same_fields(|| {
        let span = tracing::info_span!("span", late = Empty);
        span.record("late", 1);
        span
    });
    assert_eq!(fields["late"], 1);
    let fields = same_fields(|| tracing::info_span!("span"));
    assert_eq!(fields, serde_json::json!({ "name": "span" }));
}

#[test]
fn the_values_of_a_span_do_not_grow_with_those_that_are_replaced() {
    let long = "x".repeat(1000);
    let length = AtomicUsize::new(0);
    let span = || {
        let span = tracing::info_span!("span", first = 1, count = Empty, state = Empty);
        for number in 0..1000 {
            span.record("count", number);
            span.record("state", &*long);
            span.with_subscriber(|(id, dispatch)| {
                let registry = dispatch.downcast_ref::<Registry>().unwrap();
                let span = registry.span(id).unwrap();
                let extensions = span.extensions();
                let values = extensions.get::<FormattedFields<JsonFields>>().unwrap();
                length.fetch_max(values.fields.len(), Relaxed);
            });
        }
        span
    };
    let fields = span_of_line(own, span);
    assert_eq!(
        (&fields["first"], &fields["count"]),
        (&1.into(), &999.into())
    );
    assert_eq!(fields["state"], *long);
    assert!(length.into_inner() <= COMPACT_LENGTH + 2 * long.len());
}
