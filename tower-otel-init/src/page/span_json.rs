//! A span as the page gets it.

use std::time::SystemTime;

use bytes::Bytes;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value as AttributeValue};
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;

/// The largest integer that a number of JavaScript has exactly.
const MAX_EXACT: u64 = 1 << 53;

/// Returns the span as JSON, written directly: a tree of values would cost several times as much.
pub(crate) fn span_json(span: &SpanData, service: &str) -> Bytes {
    let context = &span.span_context;
    let (status, message) = match &span.status {
        Status::Unset => ("", ""),
        Status::Ok => ("ok", ""),
        Status::Error { description } => ("error", &**description),
    };
    let dropped = u64::from(span.dropped_attributes_count)
        + u64::from(span.events.dropped_count)
        + u64::from(span.links.dropped_count);
    let mut json = JsonWriter(Vec::with_capacity(512));
    json.0.push(b'{');
    json.text_field("id", &context.span_id().to_string());
    json.text_field("parent", &id(span.parent_span_id));
    json.value_field("remote", &span.parent_span_is_remote.into());
    json.text_field("traceparent", &traceparent(context));
    json.text_field("name", &span.name);
    json.text_field("kind", kind(&span.span_kind));
    json.text_field("service", service);
    json.text_field("scope", span.instrumentation_scope.name());
    json.value_field("start", &micros(span.start_time).into());
    let duration = duration_micros(span.start_time, span.end_time);
    json.value_field("duration", &float(duration));
    json.text_field("status", status);
    json.text_field("message", message);
    json.value_field("dropped", &dropped.into());
    json.field("attributes");
    json.attributes(&span.attributes);
    json.field("events");
    json.array(span.events.iter(), |json, event| json.event(event));
    json.field("links");
    json.array(span.links.iter(), |json, link| {
        json.0.push(b'{');
        json.text_field("traceparent", &traceparent(&link.span_context));
        json.field("attributes");
        json.attributes(&link.attributes);
        json.0.push(b'}');
    });
    json.0.push(b'}');
    // Only the text counts as used, so nothing else is stored.
    json.0.into_boxed_slice().into()
}

/// Writes JSON. Writing to memory does not fail.
struct JsonWriter(Vec<u8>);

impl JsonWriter {
    /// Writes the name of a field, which needs no escapes.
    fn field(&mut self, name: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text_field(&mut self, name: &str, text: &str) {
        self.field(name);
        self.text(text);
    }

    fn value_field(&mut self, name: &str, value: &Value) {
        self.field(name);
        self.value(value);
    }

    fn text(&mut self, text: &str) {
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    fn value(&mut self, value: &Value) {
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    fn array<T>(&mut self, items: impl Iterator<Item = T>, write: impl Fn(&mut Self, T)) {
        self.0.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    fn attributes(&mut self, attributes: &[KeyValue]) {
        self.array(attributes.iter(), |json, attribute| {
            json.0.push(b'[');
            json.text(attribute.key.as_str());
            json.0.push(b',');
            match &attribute.value {
                AttributeValue::String(text) => json.text(text.as_str()),
                value => json.value(&attribute_value(value)),
            }
            json.0.push(b']');
        });
    }

    fn event(&mut self, event: &Event) {
        self.0.push(b'{');
        self.text_field("name", &event.name);
        self.value_field("at", &micros(event.timestamp).into());
        self.field("attributes");
        self.attributes(&event.attributes);
        self.0.push(b'}');
    }
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

    use serde_json::json;

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

    #[test]
    fn a_span_takes_no_more_memory_than_its_text() {
        let json = span_json(&span(1, "a"), "shop");
        let length = json.len();
        assert_eq!(json.try_into_mut().unwrap().capacity(), length);
    }
}
