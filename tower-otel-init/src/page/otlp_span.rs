//! One span of OTLP as a span of the SDK.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::trace::v1::span::{self, SpanKind as OtlpKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status as OtlpStatus};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// The flags that the next one is known, and that the parent is in another process.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The longest name of a service or a scope, in bytes.
const MAX_NAME: usize = 256;

/// Returns `None` if the span has no valid ids.
pub(crate) fn span_data(span: Span, scope: &InstrumentationScope) -> Option<SpanData> {
    let span_context = context(&span.trace_id, &span.span_id, span.flags)?;
    let parent = span.parent_span_id.try_into().ok();
    let parent_span_id = parent.map_or(SpanId::INVALID, SpanId::from_bytes);
    let span_kind = kind(span.kind);
    let is_entry = matches!(span_kind, SpanKind::Server | SpanKind::Consumer);
    let is_remote = match span.flags & HAS_IS_REMOTE {
        0 => is_entry,
        _ => span.flags & IS_REMOTE != 0,
    };
    let start_time = time(span.start_time_unix_nano);
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    events.dropped_count = span.dropped_events_count;
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().filter_map(link).collect();
    links.dropped_count = span.dropped_links_count;
    Some(SpanData {
        span_context,
        parent_span_id,
        parent_span_is_remote: is_remote && parent_span_id != SpanId::INVALID,
        span_kind,
        name: span.name.into(),
        start_time,
        end_time: time(span.end_time_unix_nano).max(start_time),
        attributes: attributes(span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events,
        links,
        status: status(span.status),
        instrumentation_scope: scope.clone(),
    })
}

/// Cuts a name.
pub(crate) fn cut(mut name: String) -> String {
    let mut end = MAX_NAME.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

fn context(trace: &[u8], span: &[u8], flags: u32) -> Option<SpanContext> {
    let trace = TraceId::from_bytes(trace.try_into().ok()?);
    let span = SpanId::from_bytes(span.try_into().ok()?);
    let [flags, ..] = flags.to_le_bytes();
    let context = SpanContext::new(trace, span, TraceFlags::new(flags), true, TraceState::NONE);
    context.is_valid().then_some(context)
}

fn kind(kind: i32) -> SpanKind {
    match OtlpKind::try_from(kind) {
        Ok(OtlpKind::Server) => SpanKind::Server,
        Ok(OtlpKind::Client) => SpanKind::Client,
        Ok(OtlpKind::Producer) => SpanKind::Producer,
        Ok(OtlpKind::Consumer) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn time(nanos: u64) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn status(status: Option<OtlpStatus>) -> Status {
    let Some(status) = status else {
        return Status::Unset;
    };
    match StatusCode::try_from(status.code) {
        Ok(StatusCode::Error) => Status::error(status.message),
        Ok(StatusCode::Ok) => Status::Ok,
        _ => Status::Unset,
    }
}

fn event(event: span::Event) -> Event {
    let dropped = event.dropped_attributes_count;
    let attributes = attributes(event.attributes);
    Event::new(event.name, time(event.time_unix_nano), attributes, dropped)
}

fn link(link: span::Link) -> Option<Link> {
    let context = context(&link.trace_id, &link.span_id, link.flags)?;
    let dropped = link.dropped_attributes_count;
    Some(Link::new(context, attributes(link.attributes), dropped))
}

fn attributes(attributes: Vec<common::KeyValue>) -> Vec<KeyValue> {
    let attributes = attributes.into_iter();
    let attributes =
        attributes.map(|attribute| KeyValue::new(attribute.key, value(attribute.value)));
    attributes.collect()
}

fn value(value: Option<common::AnyValue>) -> Value {
    use common::any_value::Value as Any;
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::BoolValue(value)) => value.into(),
        Some(Any::IntValue(value)) => value.into(),
        Some(Any::DoubleValue(value)) => value.into(),
        Some(Any::ArrayValue(array)) => {
            let values = array.values.into_iter();
            let texts = values.map(|each| StringValue::from(self::value(Some(each)).to_string()));
            Value::Array(Array::String(texts.collect()))
        }
        Some(Any::KvlistValue(list)) => {
            let pairs = list.values.into_iter();
            let texts = pairs.map(|pair| format!("{}={}", pair.key, self::value(pair.value)));
            texts.collect::<Vec<_>>().join(", ").into()
        }
        Some(Any::BytesValue(bytes)) => format!("{} bytes", bytes.len()).into(),
        _ => "".into(),
    }
}
