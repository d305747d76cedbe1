//! The fields are the same as in `tracing-subscriber`'s own format.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use serde_json::Value;
use tracing::Span;
use tracing::field::Empty;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt;

use super::JsonFields;
use crate::test_output::TestOutput;

/// Returns the fields of a span, formatted by `format`, from a log line inside of the span.
fn fields<F>(format: F, span: impl FnOnce() -> Span) -> Value
where
    F: for<'a> FormatFields<'a> + Send + Sync + 'static,
{
    let output = TestOutput::default();
    let writer = output.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .json()
        .fmt_fields(format);
    let subscriber = tracing_subscriber::registry().with(layer.boxed());
    tracing::subscriber::with_default(subscriber, || {
        let _span = span().entered();
        tracing::info!("line");
    });
    let line: Value = serde_json::from_str(&output.text()).unwrap();
    line["span"].clone()
}

/// Checks that both formats give the same fields, and returns them.
fn same_fields(span: fn() -> Span) -> Value {
    let own = fields(JsonFields, span);
    assert_eq!(own, fields(format::JsonFields::new(), span));
    own
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
fn the_text_of_a_span_does_not_grow_with_values_that_are_replaced() {
    let mut object = super::ObjectText::open(String::new());
    for number in 0..1000 {
        object.write("count", format_args!("{}", number % 10));
        object.write_text("state", format_args!("\"{}\"", number % 10));
    }
    assert_eq!(object.close(), r#"{"count":9,"state":"\"9\""}"#);
}
