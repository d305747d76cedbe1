//! Checks whether a span contains the text of a search.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::page::span_json::{kind, traceparent};
use crate::page::span_source::SpanSource;
use crate::page::value_text::{MAX_TEXT, value_text};

/// Returns whether names, ids, attributes, events or links contain `text`, ignoring case. `text` is in lower case.
pub(crate) fn contains(span: &Span, source: &SpanSource, text: &str) -> bool {
    let has = |own: &str| own.to_lowercase().contains(text);
    let has_attribute = |attribute: &KeyValue| {
        has(&attribute.key)
            || attribute
                .value
                .as_ref()
                .is_some_and(|value| has(&value_text(value, MAX_TEXT)))
    };
    let has_ids = |trace: &[u8], span: &[u8], flags| has(&traceparent(trace, span, flags));
    has(&span.name)
        || has(&source.service)
        || has(&source.scope)
        || has(kind(span.kind))
        || has_ids(&span.trace_id, &span.span_id, span.flags)
        || span
            .status
            .as_ref()
            .is_some_and(|status| has(&status.message))
        || span.attributes.iter().any(has_attribute)
        || span
            .events
            .iter()
            .any(|event| has(&event.name) || event.attributes.iter().any(has_attribute))
        || span.links.iter().any(|link| {
            has_ids(&link.trace_id, &link.span_id, link.flags)
                || link.attributes.iter().any(has_attribute)
        })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

    use super::*;
    use crate::page::test_span::{attribute, fail, list, nested_quotes, source, span, text};

    #[test]
    fn every_text_of_a_span_is_found_in_any_case() {
        let mut span = span(0xabc, "Name of it");
        fail(&mut span, "No Stock");
        span.attributes = vec![
            text("user", "Ärger \"quoted\""),
            attribute("n", Value::IntValue(42)),
            attribute(
                "list",
                list(vec![attribute("in", list(vec![text("say", "\"hi\"")]))]),
            ),
            attribute("quotes", nested_quotes(30)),
        ];
        span.events = vec![Event {
            name: "Event".to_owned(),
            attributes: vec![text("Field", "value")],
            ..Event::default()
        }];
        span.links = vec![Link {
            trace_id: vec![0xfe; 16],
            attributes: vec![text("link", "Linked")],
            ..Link::default()
        }];
        let has = |text: &str| contains(&span, &source("Shop"), text);
        for text in [
            "",
            "name of",
            "no stock",
            "user",
            "ärger \"quoted",
            "42",
            "say=\"hi\"}",
            &"\"".repeat(100),
            "event",
            "field",
            "value",
            "shop",
            "server",
            "abc-0000000000000007",
            "fefefe",
            "linked",
        ] {
            assert!(has(text), "{text}");
        }
        for text in ["no such text", "traceparent", "\":\"", "1700000000"] {
            assert!(!has(text), "{text}");
        }
    }
}
