//! The parts of a console line after the name and the duration of a span: status, target and error.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_semantic_conventions::attribute as key;
use tower_otel_semconv::attribute as own_key;

use crate::terminal::{Color, cut, printable};

/// The maximum length of a value in characters. Longer values are cut.
const MAX_ATTRIBUTE_CHARS: usize = 40;
const MAX_STATUS_CHARS: usize = 20;

/// The texts of a line, without control characters.
pub(crate) struct Details {
    /// The target of a request or message, or the attributes of an internal span.
    pub(crate) target: String,
    /// `error.type`, if it is not the status, and the description of the error.
    pub(crate) error: String,
}

/// Returns the status code of HTTP or the status of gRPC, or `ERR` for another span that failed.
pub(crate) fn status(span: &SpanData) -> (String, Color) {
    let failed = matches!(span.status, Status::Error { .. });
    if let Some(code) = attribute(span, key::HTTP_RESPONSE_STATUS_CODE) {
        let color = match code.as_bytes().first() {
            Some(b'5') => Color::Red,
            Some(b'4') => Color::Yellow,
            _ => Color::Green,
        };
        return (cut(&code, MAX_STATUS_CHARS), color);
    }
    let rpc = [own_key::RPC_STATUS_CODE, own_key::RPC_RESPONSE_STATUS_CODE];
    if let Some(status) = rpc.into_iter().find_map(|key| attribute(span, key)) {
        let color = match &*status {
            "OK" => Color::Green,
            _ if failed => Color::Red,
            _ => Color::Yellow,
        };
        return (cut(&status, MAX_STATUS_CHARS), color);
    }
    match failed {
        true => ("ERR".to_owned(), Color::Red),
        false => (String::new(), Color::Green),
    }
}

pub(crate) fn details(span: &SpanData) -> Details {
    let target = match span.span_kind {
        SpanKind::Client => {
            let to = match attribute(span, key::HTTP_REQUEST_RESEND_COUNT) {
                Some(count) => format!("retry {count} to"),
                None => "to".to_owned(),
            };
            client_target(span).map(|target| format!("{to} {target}"))
        }
        SpanKind::Server => attribute(span, key::URL_PATH),
        SpanKind::Consumer => {
            attribute(span, key::MESSAGING_DESTINATION_NAME).map(|queue| format!("from {queue}"))
        }
        SpanKind::Producer => {
            attribute(span, key::MESSAGING_DESTINATION_NAME).map(|queue| format!("to {queue}"))
        }
        SpanKind::Internal => Some(own_attributes(span)),
    };
    let mut error = Vec::new();
    // The error of a response is often its status, which the line already shows.
    if let Some(kind) = attribute(span, key::ERROR_TYPE)
        && kind != status(span).0
    {
        error.push(format!("error.type={kind}"));
    }
    if let Status::Error { description } = &span.status
        && !description.is_empty()
    {
        error.push(printable(description));
    }
    Details {
        target: target.unwrap_or_default(),
        error: error.join(" "),
    }
}

/// Returns the URL without its scheme, else host and port, else the database system.
fn client_target(span: &SpanData) -> Option<String> {
    let url = value(span, key::URL_FULL).map(|url| url.as_str());
    if let Some((_, target)) = url.as_ref().and_then(|url| url.split_once("://")) {
        return Some(printable(target));
    }
    let Some(address) = attribute(span, key::SERVER_ADDRESS) else {
        return attribute(span, key::DB_SYSTEM_NAME);
    };
    Some(match attribute(span, key::SERVER_PORT) {
        Some(port) => format!("{address}:{port}"),
        None => address,
    })
}

fn own_attributes(span: &SpanData) -> String {
    let is_hidden = |key: &str| HIDDEN_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    let shown = span.attributes.iter();
    let shown = shown.filter(|attribute| !is_hidden(attribute.key.as_str()));
    let texts: Vec<String> = shown
        .map(|attribute| {
            let key = printable(attribute.key.as_str());
            format!("{key}={}", short_text(&attribute.value))
        })
        .collect();
    texts.join(" ")
}

/// The attribute with the reason why an unsampled trace was exported.
const KEEP_REASON: &str = "sampling.keep.reason";

/// Returns the reason why the trace of a span was exported, if it was not sampled.
pub(crate) fn keep_reason(span: &SpanData) -> Option<String> {
    attribute(span, KEEP_REASON)
}

/// Prefixes of attributes that are not shown: attributes that `tracing-opentelemetry` adds, the error, which is shown separately,
/// and attributes that the title of the trace shows.
const HIDDEN_PREFIXES: [&str; 7] = [
    KEEP_REASON,
    "code.",
    "thread.",
    "busy_ns",
    "idle_ns",
    "target",
    key::ERROR_TYPE,
];

fn value<'a>(span: &'a SpanData, key: &str) -> Option<&'a opentelemetry::Value> {
    let mut attributes = span.attributes.iter();
    let attribute = attributes.find(|attribute| attribute.key.as_str() == key)?;
    Some(&attribute.value)
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    value(span, key).map(short_text)
}

fn short_text(value: &opentelemetry::Value) -> String {
    cut(&printable(&value.as_str()), MAX_ATTRIBUTE_CHARS)
}
