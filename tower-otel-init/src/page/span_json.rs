//! A span as the page gets it.

use std::time::SystemTime;

use bytes::Bytes;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value as AttributeValue};
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

/// The largest integer that a number of JavaScript has exactly.
const MAX_EXACT: u64 = 1 << 53;

/// Returns the span as JSON.
pub(crate) fn span_json(span: &SpanData, service: &str) -> Bytes {
    let context = &span.span_context;
    let (status, message) = match &span.status {
        Status::Unset => ("", ""),
        Status::Ok => ("ok", ""),
        Status::Error { description } => ("error", &**description),
    };
    let value = json!({
        "id": context.span_id().to_string(),
        "parent": id(span.parent_span_id),
        "remote": span.parent_span_is_remote,
        "traceparent": traceparent(context),
        "name": span.name,
        "kind": kind(&span.span_kind),
        "service": service,
        "scope": span.instrumentation_scope.name(),
        "start": micros(span.start_time),
        "duration": duration_micros(span.start_time, span.end_time),
        "status": status,
        "message": message,
        "attributes": attributes(&span.attributes),
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "links": span.links.iter().map(|link| json!({
            "traceparent": traceparent(&link.span_context),
            "attributes": attributes(&link.attributes),
        })).collect::<Vec<_>>(),
        "dropped": u64::from(span.dropped_attributes_count)
            + u64::from(span.events.dropped_count)
            + u64::from(span.links.dropped_count),
    });
    Bytes::from(value.to_string())
}

/// Returns the time in microseconds since 1970, a number that JavaScript has exactly until the year 2255.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn duration_micros(start: SystemTime, end: SystemTime) -> f64 {
    let duration = end.duration_since(start).unwrap_or_default();
    duration.as_secs_f64() * 1e6
}

pub(crate) fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    }
}

fn traceparent(context: &SpanContext) -> String {
    let (trace, span, flags) = (
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8(),
    );
    format!("00-{trace}-{span}-{flags:02x}")
}

/// Returns an empty text if there is no span.
fn id(span: SpanId) -> String {
    match span {
        SpanId::INVALID => String::new(),
        span => span.to_string(),
    }
}

fn event(event: &Event) -> Value {
    json!({
        "name": event.name,
        "at": micros(event.timestamp),
        "attributes": attributes(&event.attributes),
    })
}

fn attributes(attributes: &[KeyValue]) -> Vec<Value> {
    attributes
        .iter()
        .map(|attribute| json!([attribute.key.as_str(), attribute_value(&attribute.value)]))
        .collect()
}

fn attribute_value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Bool(value) => Value::from(*value),
        AttributeValue::I64(value) => integer(*value),
        AttributeValue::F64(value) => float(*value),
        AttributeValue::Array(Array::Bool(values)) => Value::from(values.clone()),
        AttributeValue::Array(Array::I64(values)) => values.iter().copied().map(integer).collect(),
        AttributeValue::Array(Array::F64(values)) => values.iter().copied().map(float).collect(),
        AttributeValue::Array(Array::String(values)) => {
            values.iter().map(|value| value.as_str()).collect()
        }
        value => Value::from(value.as_str()),
    }
}

/// Returns a text if JavaScript has no such number.
fn integer(value: i64) -> Value {
    match value.unsigned_abs() <= MAX_EXACT {
        true => Value::from(value),
        false => Value::from(value.to_string()),
    }
}

/// Returns a text if JSON has no such number.
fn float(value: f64) -> Value {
    match value.is_finite() {
        true => Value::from(value),
        false => Value::from(value.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::time::Duration;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    /// Returns a server span of a millisecond without a parent.
    pub(crate) fn span(trace: u128, name: &'static str) -> SpanData {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(trace),
                SpanId::from(7),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Server,
            name: name.into(),
            start_time: start,
            end_time: start + Duration::from_millis(1),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let hostile = "</script><img src=x onerror=alert(1)>\"\\\n\r\u{2028}\0\u{1b}[31m";
        let mut span = span(1, hostile);
        span.status = Status::error(hostile);
        span.attributes = vec![KeyValue::new(hostile, hostile)];
        let event = Event::new(hostile, span.start_time, span.attributes.clone(), 0);
        span.events.events.push(event);
        let json = span_json(&span, hostile);
        assert!(
            !json.contains(&b'\n') && !json.contains(&b'\r'),
            "one line of an event stream"
        );
        let value: Value = serde_json::from_slice(&json).unwrap();
        for text in [
            &value["name"],
            &value["message"],
            &value["service"],
            &value["attributes"][0][0],
            &value["attributes"][0][1],
            &value["events"][0]["name"],
            &value["events"][0]["attributes"][0][1],
        ] {
            assert_eq!(text, hostile);
        }
    }

    #[test]
    fn numbers_that_javascript_does_not_have_are_texts() {
        for (value, expected) in [
            (AttributeValue::I64(i64::MAX), json!("9223372036854775807")),
            (AttributeValue::I64(-5), json!(-5)),
            (AttributeValue::F64(f64::NAN), json!("NaN")),
            (AttributeValue::F64(0.5), json!(0.5)),
            (
                AttributeValue::Array(Array::I64(vec![1, i64::MIN])),
                json!([1, "-9223372036854775808"]),
            ),
        ] {
            assert_eq!(attribute_value(&value), expected);
        }
    }

    #[test]
    fn ids_and_times_are_those_of_the_span() {
        let value: Value = serde_json::from_slice(&span_json(&span(0xab, "a"), "shop")).unwrap();
        let traceparent = "00-000000000000000000000000000000ab-0000000000000007-01";
        assert_eq!(value["traceparent"], traceparent);
        assert_eq!(value["start"], 1_700_000_000_000_000_u64);
        assert_eq!(value["duration"], 1000.0);
        assert_eq!(value["parent"], "");
    }
}
