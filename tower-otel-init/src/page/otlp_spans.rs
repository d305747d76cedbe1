//! The spans of an OTLP request, which another process has sent.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/collector/trace/v1/trace_service.proto>

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;

use crate::page::otlp_span::{cut, span_data};
use crate::page::protobuf_reader::{Fields, Malformed};

/// The largest encoded span, resource or scope. Larger ones are refused, before they are decoded to many times their size.
const MAX_MESSAGE: usize = 128 << 10;

/// The field of spans in a request, of spans in a resource, and of spans in a scope.
const RESOURCE_SPANS: u64 = 1;
const RESOURCE: u64 = 1;
const SCOPE_SPANS: u64 = 2;
const SCOPE: u64 = 1;
const SPANS: u64 = 2;

/// Calls a function with each span and its service. Returns the number of spans that are refused, because they are too large
/// or have no ids.
pub(crate) fn read(request: &[u8], mut add: impl FnMut(&SpanData, &str)) -> Result<u64, Malformed> {
    let mut refused = 0;
    for field in Fields(request) {
        if let (RESOURCE_SPANS, resource_spans) = field? {
            refused += read_resource(resource_spans, &mut add)?;
        }
    }
    Ok(refused)
}

fn read_resource(message: &[u8], add: &mut impl FnMut(&SpanData, &str)) -> Result<u64, Malformed> {
    let mut service = "unknown".to_owned();
    for field in Fields(message) {
        if let (RESOURCE, resource) = field? {
            service = service_name(resource).unwrap_or(service);
        }
    }
    let mut refused = 0;
    for field in Fields(message) {
        if let (SCOPE_SPANS, scope_spans) = field? {
            refused += read_scope(scope_spans, &service, add)?;
        }
    }
    Ok(refused)
}

fn read_scope(
    message: &[u8],
    service: &str,
    add: &mut impl FnMut(&SpanData, &str),
) -> Result<u64, Malformed> {
    let mut scope = InstrumentationScope::default();
    let mut refused = 0;
    // A scope stands before its spans.
    for field in Fields(message) {
        match field? {
            (SCOPE, encoded) => {
                let decoded = decode::<common::InstrumentationScope>(encoded)?;
                let name = decoded.map(|scope| cut(scope.name)).unwrap_or_default();
                scope = InstrumentationScope::builder(name).build();
            }
            (SPANS, encoded) => {
                let span = decode::<Span>(encoded)?;
                match span.and_then(|span| span_data(span, &scope)) {
                    Some(span) => add(&span, service),
                    None => refused += 1,
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
        common::any_value::Value::StringValue(name) => Some(cut(name)),
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
