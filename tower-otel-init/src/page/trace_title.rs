//! The texts that the list of traces shows of the root of a trace.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_semantic_conventions::attribute::DB_SYSTEM_NAME;
use serde_json::{Map, Value, json};
use tower_otel_semconv::attribute as key;

use crate::page::span_json::kind;
use crate::page::span_source::SpanSource;
use crate::page::value_text::value_text;

/// The maximum length of a text in the list, in characters. The waterfall shows the whole text.
const MAX_CHARS: usize = 200;

/// The route of server spans that have none, as in the metrics of the layers.
const UNMATCHED: &str = "unmatched";

/// The maximum number of bytes that are needed for [`MAX_CHARS`] characters and the check for a longer text.
const MAX_BYTES: usize = 4 * (MAX_CHARS + 2);

/// Returns the texts of the list.
pub(crate) fn title(span: &Span, source: &SpanSource, is_failed: bool) -> Map<String, Value> {
    let text = |key| text(span, key);
    let code = text(key::HTTP_RESPONSE_STATUS_CODE).or_else(|| text(key::RPC_RESPONSE_STATUS_CODE));
    let title = json!({
        "name": cut(&span.name),
        "kind": kind(span.kind),
        "service": cut(&source.service),
        "route": route(span),
        "path": text(key::URL_PATH),
        "target": target(span),
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

/// Returns the value of the filter by route: the matched route, the method of a gRPC call, or else the host of a client span. All
/// server spans without a route have the same value, because clients choose their paths.
fn route(span: &Span) -> Option<String> {
    let route = text(span, key::HTTP_ROUTE).or_else(|| text(span, key::RPC_METHOD));
    route.or_else(|| match SpanKind::try_from(span.kind) {
        Ok(SpanKind::Client) => host(span),
        Ok(SpanKind::Server) => text(span, key::URL_PATH).map(|_| UNMATCHED.to_owned()),
        _ => None,
    })
}

/// Returns where a client span goes: the URL without its scheme, or else host and port, or else the kind of database.
fn target(span: &Span) -> Option<String> {
    if span.kind != SpanKind::Client as i32 {
        return None;
    }
    let url = text(span, key::URL_FULL);
    if let Some((_, target)) = url.as_deref().and_then(|url| url.split_once("://")) {
        return Some(target.to_owned());
    }
    host(span).or_else(|| text(span, DB_SYSTEM_NAME))
}

/// Returns host and port of the server.
fn host(span: &Span) -> Option<String> {
    let address = text(span, key::SERVER_ADDRESS)?;
    Some(match text(span, key::SERVER_PORT) {
        Some(port) => format!("{address}:{port}"),
        None => address,
    })
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
    use opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue as int;

    use super::*;
    use crate::page::test_span::{attribute, list, nested_quotes, source, span, text};

    fn route(value: opentelemetry_proto::tonic::common::v1::any_value::Value) -> String {
        let mut span = span(1, "a");
        span.attributes.push(attribute(key::HTTP_ROUTE, value));
        let title = title(&span, &source("shop"), false);
        title.get("route").unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn a_client_has_a_target_and_a_server_has_none() {
        let url = ("url.full", "https://stock:80/items?sig=REDACTED");
        let [address, port] = [("server.address", "stock"), ("server.port", "80")];
        for (attributes, expected) in [
            (&[url, address][..], Some("stock:80/items?sig=REDACTED")),
            (&[address, port], Some("stock:80")),
            (&[address, ("url.full", "not a URL")], Some("stock")),
            (&[("db.system.name", "sqlite")], Some("sqlite")),
            (&[], None),
        ] {
            for (kind, expected) in [(SpanKind::Client, expected), (SpanKind::Server, None)] {
                let mut span = span(1, "GET");
                span.kind = kind as i32;
                let attributes = attributes.iter().map(|(key, value)| text(key, value));
                span.attributes = attributes.collect();
                let title = title(&span, &source("shop"), false);
                let target = title.get("target").and_then(Value::as_str);
                assert_eq!(target, expected, "{kind:?}");
            }
        }
    }

    #[test]
    fn routes_and_hosts_are_in_the_filter_and_paths_of_clients_are_not() {
        let [path, method] = [
            ("url.path", "/wp-login.php"),
            ("rpc.method", "stock.Shelf/Get"),
        ];
        let [host, port] = [("server.address", "stock"), ("server.port", "80")];
        for (kind, attributes, expected) in [
            (
                SpanKind::Server,
                &[path, ("http.route", "/{page}")][..],
                Some("/{page}"),
            ),
            (SpanKind::Server, &[path, host, port], Some("unmatched")),
            (SpanKind::Server, &[path, method], Some("stock.Shelf/Get")),
            (SpanKind::Client, &[path, host, port], Some("stock:80")),
            (SpanKind::Client, &[host], Some("stock")),
            (SpanKind::Client, &[path], None),
            (SpanKind::Internal, &[path, host], None),
            (SpanKind::Server, &[host], None),
        ] {
            let mut span = span(1, "GET");
            span.kind = kind as i32;
            let attributes = attributes.iter().map(|(key, value)| text(key, value));
            span.attributes = attributes.collect();
            let title = title(&span, &source("shop"), false);
            let route = title.get("route").and_then(Value::as_str);
            assert_eq!(route, expected, "{kind:?} {:?}", span.attributes);
        }
    }

    #[test]
    fn the_status_of_a_client_is_its_response() {
        let mut span = span(1, "GET");
        span.kind = SpanKind::Client as i32;
        let status = attribute(key::HTTP_RESPONSE_STATUS_CODE, int(503));
        span.attributes.push(status);
        let title = title(&span, &source("shop"), true);
        assert_eq!(title.get("code"), Some(&"503".into()));
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
