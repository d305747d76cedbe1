//! What the list of traces shows of the root of a trace.

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};
use tower_otel_semconv::attribute as key;

use crate::page::span_json::{duration_micros, kind, micros};

/// The longest text in the list, in characters. The waterfall has the whole text.
const MAX_CHARS: usize = 200;

/// The root of a trace, or the span that is closest to it so far.
#[derive(Debug)]
pub(crate) struct TraceTitle {
    rank: Rank,
    start: u64,
    /// In microseconds.
    pub(crate) duration: f64,
    texts: Value,
}

/// How close a span is to the root of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Root,
    /// Its parent is in another process.
    LocalRoot,
    Inner,
}

impl Rank {
    fn of(span: &SpanData) -> Self {
        match span.parent_span_id {
            SpanId::INVALID => Self::Root,
            _ if span.parent_span_is_remote => Self::LocalRoot,
            _ => Self::Inner,
        }
    }
}

impl TraceTitle {
    pub(crate) fn of(span: &SpanData, service: &str) -> Self {
        let route = text(span, key::HTTP_ROUTE)
            .or_else(|| text(span, key::RPC_METHOD))
            .or_else(|| text(span, key::URL_PATH));
        let code = text(span, key::HTTP_RESPONSE_STATUS_CODE)
            .or_else(|| text(span, key::RPC_RESPONSE_STATUS_CODE));
        Self {
            rank: Rank::of(span),
            start: micros(span.start_time),
            duration: duration_micros(span.start_time, span.end_time),
            texts: json!({
                "name": cut(&span.name),
                "kind": kind(&span.span_kind),
                "service": cut(service),
                "route": route,
                "path": text(span, key::URL_PATH),
                "code": code,
                "failed": is_error(span),
                "error": text(span, key::ERROR_TYPE),
                "kept": text(span, "sampling.keep.reason"),
            }),
        }
    }

    /// Returns whether a span is closer to the root than this one.
    pub(crate) fn is_preceded_by(&self, span: &SpanData) -> bool {
        (Rank::of(span), micros(span.start_time)) < (self.rank, self.start)
    }

    /// Whether the span has a parent in this process, which has not ended or was not recorded.
    pub(crate) fn is_inner(&self) -> bool {
        self.rank == Rank::Inner
    }

    /// The start in microseconds since 1970.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    pub(crate) const fn texts(&self) -> &Value {
        &self.texts
    }

    /// Returns how many bytes the texts have at most.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.texts.as_object().into_iter().flatten();
        texts
            .map(|(key, value)| 64 + key.len() + value.as_str().map_or(0, str::len))
            .sum()
    }
}

/// Whether the span failed, or answered with a server error.
pub(crate) fn is_error(span: &SpanData) -> bool {
    let is_server_error = || {
        span.span_kind == SpanKind::Server
            && text(span, key::HTTP_RESPONSE_STATUS_CODE).is_some_and(|code| code.starts_with('5'))
    };
    matches!(span.status, Status::Error { .. }) || is_server_error()
}

fn text(span: &SpanData, key: &str) -> Option<String> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)?;
    Some(cut(&attribute.value.as_str()))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
