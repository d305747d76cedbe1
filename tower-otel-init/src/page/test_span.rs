//! Spans for tests.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::page::span_source::SpanSource;

/// Returns a server span without a parent, with a duration of a millisecond.
pub(crate) fn span(trace: u128, name: &str) -> Span {
    let start = 1_700_000_000_000_000_000;
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: vec![0, 0, 0, 0, 0, 0, 0, 7],
        name: name.to_owned(),
        kind: 2,
        flags: 0x101,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000,
        ..Span::default()
    }
}

/// Sets the status of a span to an error.
pub(crate) fn fail(span: &mut Span, message: &str) {
    let (message, code) = (message.to_owned(), 2);
    span.status = Some(Status { message, code });
}

/// Returns an attribute.
pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Returns an attribute with a text.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// Returns a service without a scope.
pub(crate) fn source(service: &str) -> Arc<SpanSource> {
    SpanSource::new(service.into(), "")
}

/// Returns a list of pairs.
pub(crate) fn list(values: Vec<KeyValue>) -> Value {
    Value::KvlistValue(KeyValueList { values })
}

/// Returns a list in a list and so on, with a text of quotes inside.
pub(crate) fn nested_quotes(depth: usize) -> Value {
    let quotes = Value::StringValue("\"".repeat(100));
    (0..depth).fold(quotes, |inner, _| list(vec![attribute("k", inner)]))
}
