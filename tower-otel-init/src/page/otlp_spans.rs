//! Reads the spans of an OTLP request from another process.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/collector/trace/v1/trace_service.proto>

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::page::protobuf_reader::{Field, Fields, Malformed};
use crate::page::span_head::SpanHead;
use crate::page::span_source::{SpanSource, cut};

/// The maximum size of an encoded span, resource or scope, in bytes. Larger ones are refused, because decoding multiplies the
/// size.
const MAX_MESSAGE: usize = 128 << 10;

/// The field numbers: spans by resource in a request, spans by scope in a resource, and spans in a scope.
const RESOURCE_SPANS: u64 = 1;
const RESOURCE: u64 = 1;
const SCOPE_SPANS: u64 = 2;
const SCOPE: u64 = 1;
const SPANS: u64 = 2;

/// Calls a function with the message and the source of each span. Returns the number of refused spans, which are too large or
/// have no valid ids.
pub(crate) fn read(
    request: &[u8],
    mut add: impl FnMut(&[u8], &Arc<SpanSource>),
) -> Result<u64, Malformed> {
    let mut refused = 0;
    for field in Fields(request) {
        if let (RESOURCE_SPANS, Field::Bytes(resource_spans)) = field? {
            refused += read_resource(resource_spans, &mut add)?;
        }
    }
    Ok(refused)
}

fn read_resource(
    message: &[u8],
    add: &mut impl FnMut(&[u8], &Arc<SpanSource>),
) -> Result<u64, Malformed> {
    let mut service = None;
    for field in Fields(message) {
        if let (RESOURCE, Field::Bytes(resource)) = field? {
            service = service_name(resource).or(service);
        }
    }
    let service = service.as_deref().map_or("unknown", cut);
    let mut source = SpanSource::new(service.into(), "");
    let mut refused = 0;
    for field in Fields(message) {
        if let (SCOPE_SPANS, Field::Bytes(scope_spans)) = field? {
            refused += read_scope(scope_spans, &mut source, add)?;
        }
    }
    Ok(refused)
}

fn read_scope(
    message: &[u8],
    source: &mut Arc<SpanSource>,
    add: &mut impl FnMut(&[u8], &Arc<SpanSource>),
) -> Result<u64, Malformed> {
    let mut refused = 0;
    *source = Arc::clone(source).with_scope("");
    // In a message, a scope is before its spans.
    for field in Fields(message) {
        match field? {
            (SCOPE, Field::Bytes(encoded)) => {
                let decoded = decode::<common::InstrumentationScope>(encoded)?;
                let name = decoded.map(|scope| scope.name).unwrap_or_default();
                *source = Arc::clone(source).with_scope(&name);
            }
            (SPANS, Field::Bytes(span)) => {
                // Spans that cannot be decoded are not stored.
                let is_span = decode::<Span>(span)?.is_some() && SpanHead::read(span).is_some();
                match is_span {
                    true => add(span, source),
                    false => refused += 1,
                }
            }
            _ => {}
        }
    }
    Ok(refused)
}

fn service_name(resource: &[u8]) -> Option<String> {
    let resource = decode::<Resource>(resource).ok().flatten()?;
    let mut attributes = resource.attributes.into_iter();
    let attribute = attributes.find(|attribute| attribute.key == "service.name")?;
    match attribute.value?.value? {
        common::any_value::Value::StringValue(name) => Some(name),
        _ => None,
    }
}

/// Returns `None` if the message is too large.
fn decode<M: Message + Default>(message: &[u8]) -> Result<Option<M>, Malformed> {
    if message.len() > MAX_MESSAGE {
        return Ok(None);
    }
    M::decode(message).map(Some).map_err(|_| Malformed)
}

#[cfg(test)]
#[path = "otlp_spans_tests.rs"]
mod tests;
