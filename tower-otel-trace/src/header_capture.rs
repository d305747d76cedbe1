//! Headers that are recorded by an option.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value, trace::TraceContextExt};

use crate::protocol::Protocol;

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

    /// Records the headers that are present, if there is a span.
    #[inline]
    pub(crate) fn copy(
        &self,
        headers: &HeaderMap,
        protocol: Protocol,
        span: impl FnOnce() -> Option<Context>,
    ) {
        let Some(captured) = &self.0 else { return };
        let Some(context) = span() else { return };
        for CapturedHeader { header, http, grpc } in captured.iter() {
            let values: Vec<StringValue> = headers
                .get_all(header)
                .iter()
                .filter_map(|value| recorded_value(header, value))
                .collect();
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

/// Returns the value to record, or `None` if it is not text.
fn recorded_value(name: &HeaderName, value: &HeaderValue) -> Option<StringValue> {
    if value.is_sensitive() || SECRETS.contains(name) {
        return Some(REDACTED.into());
    }
    Some(value.to_str().ok()?.to_owned().into())
}
