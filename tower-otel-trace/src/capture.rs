//! Headers that somebody asked for.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value, trace::TraceContextExt};

use crate::facts::Protocol;

/// Headers whose values are never written down, whoever asks.
const SECRETS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::SET_COOKIE,
];

const REDACTED: &str = tower_otel_semconv::REDACTED;

/// An allow-list of headers, with the attribute of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture(Option<Arc<[Wanted]>>);

#[derive(Debug)]
struct Wanted {
    header: HeaderName,
    http: Arc<str>,
    grpc: Arc<str>,
}

impl Capture {
    /// `http` and `grpc` make the name of the attribute out of that of the header.
    pub(crate) fn new(
        headers: impl IntoIterator<Item = HeaderName>,
        http: impl Fn(&HeaderName) -> String,
        grpc: impl Fn(&HeaderName) -> String,
    ) -> Self {
        let wanted = headers.into_iter().map(|header| Wanted {
            http: http(&header).into(),
            grpc: grpc(&header).into(),
            header,
        });
        Self(Some(wanted.collect()))
    }

    /// Copies the headers that are there, once it is known that there is a span to take them.
    pub(crate) fn copy(
        &self,
        headers: &HeaderMap,
        protocol: Protocol,
        span: impl FnOnce() -> Option<Context>,
    ) {
        let Some(wanted) = &self.0 else { return };
        let Some(context) = span() else { return };
        for Wanted { header, http, grpc } in wanted.iter() {
            let values: Vec<StringValue> = headers
                .get_all(header)
                .iter()
                .filter_map(|value| public(header, value))
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

/// A value that may be seen; nothing where it is no text.
fn public(name: &HeaderName, value: &HeaderValue) -> Option<StringValue> {
    if value.is_sensitive() || SECRETS.contains(name) {
        return Some(REDACTED.into());
    }
    Some(value.to_str().ok()?.to_owned().into())
}
