//! A span in the JSON of the page.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::page::json_writer::JsonWriter;
use crate::page::span_head::has_remote_parent;
use crate::page::span_source::SpanSource;
use crate::page::value_text::float;

/// Writes the span as JSON.
pub(crate) fn write_span(json: &mut JsonWriter, span: &Span, source: &SpanSource) {
    let status = span.status.as_ref();
    let (status, message) = match status.map(|status| (status.code(), &*status.message)) {
        Some((StatusCode::Error, message)) => ("error", message),
        Some((StatusCode::Ok, _)) => ("ok", ""),
        _ => ("", ""),
    };
    let dropped = u64::from(span.dropped_attributes_count)
        + u64::from(span.dropped_events_count)
        + u64::from(span.dropped_links_count);
    json.object(|json| {
        json.text_field("id", &span_id(&span.span_id));
        json.text_field("parent", &span_id(&span.parent_span_id));
        json.value_field("remote", &has_remote_parent(span).into());
        let traceparent = traceparent(&span.trace_id, &span.span_id, span.flags);
        json.text_field("traceparent", &traceparent);
        json.text_field("name", &span.name);
        json.text_field("kind", kind(span.kind));
        json.text_field("service", &source.service);
        json.text_field("scope", &source.scope);
        json.value_field("start", &micros(span.start_time_unix_nano).into());
        json.value_field("duration", &float(duration_micros(span)));
        json.text_field("status", status);
        json.text_field("message", message);
        json.value_field("dropped", &dropped.into());
        json.field("attributes");
        json.attributes(&span.attributes);
        json.field("events");
        json.array(&span.events, write_event);
        json.field("links");
        json.array(&span.links, |json, link| {
            json.object(|json| {
                let traceparent = self::traceparent(&link.trace_id, &link.span_id, link.flags);
                json.text_field("traceparent", &traceparent);
                json.field("attributes");
                json.attributes(&link.attributes);
            });
        });
    });
}

fn write_event(json: &mut JsonWriter, event: &Event) {
    json.object(|json| {
        json.text_field("name", &event.name);
        json.value_field("at", &micros(event.time_unix_nano).into());
        json.field("attributes");
        json.attributes(&event.attributes);
    });
}

/// Returns microseconds. JavaScript represents them exactly until the year 2255.
pub(crate) const fn micros(nanos: u64) -> u64 {
    nanos / 1000
}

pub(crate) fn duration_micros(span: &Span) -> f64 {
    let nanos = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    nanos as f64 / 1e3
}

pub(crate) fn kind(kind: i32) -> &'static str {
    match SpanKind::try_from(kind) {
        Ok(SpanKind::Server) => "server",
        Ok(SpanKind::Client) => "client",
        Ok(SpanKind::Producer) => "producer",
        Ok(SpanKind::Consumer) => "consumer",
        _ => "internal",
    }
}

/// Returns the `traceparent` of a span.
pub(crate) fn traceparent(trace: &[u8], span: &[u8], flags: u32) -> String {
    let trace = trace
        .try_into()
        .map_or(TraceId::INVALID, TraceId::from_bytes);
    let span = span.try_into().map_or(SpanId::INVALID, SpanId::from_bytes);
    let [flags, ..] = flags.to_le_bytes();
    format!("00-{trace}-{span}-{flags:02x}")
}

/// Returns a span id in hexadecimal digits, or an empty text without an id.
fn span_id(id: &[u8]) -> String {
    match id.try_into().map(SpanId::from_bytes) {
        Ok(SpanId::INVALID) | Err(_) => String::new(),
        Ok(id) => id.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::span::Link;
    use serde_json::Value;

    use super::*;
    use crate::page::test_span::{fail, source, span, text};

    fn json(span: &Span, service: &str) -> Vec<u8> {
        let mut json = JsonWriter::default();
        write_span(&mut json, span, &source(service));
        json.0
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let hostile = "</script><img src=x onerror=alert(1)>\"\\\n\r\u{2028}\0\u{1b}[31m";
        let mut span = span(1, hostile);
        fail(&mut span, hostile);
        span.attributes = vec![text(hostile, hostile)];
        span.events = vec![Event {
            name: hostile.to_owned(),
            attributes: span.attributes.clone(),
            ..Event::default()
        }];
        let json = json(&span, hostile);
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
    fn ids_and_times_are_those_of_the_span() {
        let mut span = span(0xab, "a");
        span.links = vec![Link {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            flags: 0x301,
            ..Link::default()
        }];
        let value: Value = serde_json::from_slice(&json(&span, "shop")).unwrap();
        let traceparent = "00-000000000000000000000000000000ab-0000000000000007-01";
        assert_eq!(value["traceparent"], traceparent);
        assert_eq!(value["start"], 1_700_000_000_000_000_u64);
        assert_eq!(value["duration"], 1000.0);
        assert_eq!(
            (&value["parent"], &value["remote"]),
            (&"".into(), &false.into())
        );
        let linked = "00-01010101010101010101010101010101-0202020202020202-01";
        assert_eq!(value["links"][0]["traceparent"], linked);
    }

    #[test]
    fn forged_numbers_and_ids_do_not_panic() {
        let mut forged = span(1, "a");
        (forged.start_time_unix_nano, forged.end_time_unix_nano) = (u64::MAX, 0);
        (forged.kind, forged.flags, forged.parent_span_id) = (-7, u32::MAX, vec![1; 3]);
        forged.links = vec![Link::default()];
        let value: Value = serde_json::from_slice(&json(&forged, "a")).unwrap();
        assert_eq!(
            (&value["duration"], &value["parent"]),
            (&0.0.into(), &"".into())
        );
        assert_eq!(
            (&value["kind"], &value["remote"]),
            (&"internal".into(), &false.into())
        );
    }
}
