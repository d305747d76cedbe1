//! What the list of traces shows of the root of a trace.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};
use tower_otel_semconv::attribute as key;

use crate::page::json_writer::any_text;
use crate::page::span_json::kind;
use crate::page::stored_span::SpanSource;

/// The longest text in the list, in characters. The waterfall has the whole text.
const MAX_CHARS: usize = 200;

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
    Some(cut(&any_text(attribute.value.as_ref()?)))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
