//! The texts that the list of traces shows of the root of a trace.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};
use tower_otel_semconv::attribute as key;

use crate::page::span_json::kind;
use crate::page::stored_span::SpanSource;
use crate::page::value_text::value_text;

/// The maximum length of a text in the list, in characters. The waterfall shows the whole text.
const MAX_CHARS: usize = 200;

/// The maximum number of bytes that are needed for [`MAX_CHARS`] characters and the check for a longer text.
const MAX_BYTES: usize = 4 * (MAX_CHARS + 2);

/// Returns the texts of the list.
pub(crate) fn title(span: &Span, source: &SpanSource, is_failed: bool) -> Map<String, Value> {
    let text = |key| text(span, key);
    let route = text(key::HTTP_ROUTE)
        .or_else(|| text(key::RPC_METHOD))
        .or_else(|| text(key::URL_PATH));
    let code = text(key::HTTP_RESPONSE_STATUS_CODE).or_else(|| text(key::RPC_RESPONSE_STATUS_CODE));
    let title = json!({
        "name": cut(&span.name),
        "kind": kind(span.kind),
        "service": cut(&source.service),
        "route": route,
        "path": text(key::URL_PATH),
        "code": code,
        "failed": is_failed,
        "error": text(key::ERROR_TYPE),
        "kept": text("sampling.keep.reason"),
    });
    match title {
        Value::Object(title) => title,
        _ => Map::new(),
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let attribute = attributes.find(|attribute| attribute.key == key)?;
    Some(cut(&value_text(attribute.value.as_ref()?, MAX_BYTES)))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::page::test_span::{attribute, list, nested_quotes, source, span, text};

    fn route(value: opentelemetry_proto::tonic::common::v1::any_value::Value) -> String {
        let mut span = span(1, "a");
        span.attributes.push(attribute(key::HTTP_ROUTE, value));
        let title = title(&span, &source("shop"), false);
        title.get("route").unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn a_title_has_two_hundred_characters_of_any_value() {
        let found = route(nested_quotes(90));
        assert!(found.starts_with("k={k={k="), "{found}");
        for value in [nested_quotes(90), list(vec![text("k", &"𝄞".repeat(300))])] {
            let found = route(value);
            assert_eq!(found.chars().count(), MAX_CHARS + 1, "{found}");
            assert!(found.ends_with('…') && !found.ends_with("……"), "{found}");
        }
        assert_eq!(route(list(vec![text("a", "\"b\"")])), "a=\"b\"");
    }
}
