//! Headers that an option records.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value, trace::TraceContextExt};

use crate::{protocol::Protocol, text_limit::MAX_CHARS};

/// Headers whose values are always redacted.
const SECRETS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::SET_COOKIE,
];

const REDACTED: &str = tower_otel_semconv::REDACTED;

/// The headers to record, with their attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderCapture(Option<Arc<[CapturedHeader]>>);

#[derive(Debug)]
struct CapturedHeader {
    header: HeaderName,
    http: Arc<str>,
    grpc: Arc<str>,
}

impl HeaderCapture {
    /// `http` and `grpc` return the attribute of a header, by protocol.
    pub(crate) fn new(
        headers: impl IntoIterator<Item = HeaderName>,
        http: impl Fn(&HeaderName) -> String,
        grpc: impl Fn(&HeaderName) -> String,
    ) -> Self {
        let captured = headers.into_iter().map(|header| CapturedHeader {
            http: http(&header).into(),
            grpc: grpc(&header).into(),
            header,
        });
        Self(Some(captured.collect()))
    }

    /// Returns whether no headers are recorded.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Records the headers that are present, if there is a span.
    #[inline]
    pub(crate) fn copy(
        &self,
        headers: &HeaderMap,
        protocol: Protocol,
        span: impl FnOnce() -> Option<Context>,
    ) {
        if let Some(captured) = &self.0
            && let Some(context) = span()
        {
            Self::copy_each(captured, headers, protocol, &context);
        }
    }

    #[cold]
    fn copy_each(
        captured: &[CapturedHeader],
        headers: &HeaderMap,
        protocol: Protocol,
        context: &Context,
    ) {
        for CapturedHeader { header, http, grpc } in captured {
            let values = recorded_values(header, headers);
            if !values.is_empty() {
                let values = Value::Array(Array::String(values));
                let key = match protocol {
                    Protocol::Http => http,
                    Protocol::Grpc => grpc,
                };
                let attribute = KeyValue::new(Arc::clone(key), values);
                context.span().set_attribute(attribute);
            }
        }
    }
}

/// Returns the values of a header. Together they have at most [`MAX_CHARS`] characters.
fn recorded_values(name: &HeaderName, headers: &HeaderMap) -> Vec<StringValue> {
    let mut remaining = MAX_CHARS;
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let Some(value) = recorded_value(name, value) else {
            continue;
        };
        // The value is ASCII. An empty value counts as one character.
        let value = value.get(..remaining).unwrap_or(value);
        values.push(value.to_owned().into());
        remaining = remaining.saturating_sub(value.len().max(1));
        if remaining == 0 {
            break;
        }
    }
    values
}

/// Returns the value to record, or `None` if it is not text.
fn recorded_value<'v>(name: &HeaderName, value: &'v HeaderValue) -> Option<&'v str> {
    if value.is_sensitive() || SECRETS.contains(name) {
        return Some(REDACTED);
    }
    value.to_str().ok()
}
