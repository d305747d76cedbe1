//! Random records as OTLP and as spans of the SDK.

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanLimits},
};
use tracing::{Metadata, callsite::Callsite, metadata::Kind};

use crate::{
    buffer::AttributeBuffer,
    clock::{Clocks, Timestamp},
    events::{CompactEvent, EventName, LogOrigin},
    extras::Extras,
    limits::{Limits, TextLimits},
    origin::Origin,
    otlp::batch::Batch,
    record::SpanRecord,
};

/// The same spans in both formats.
pub struct Sample {
    /// An `ExportTraceServiceRequest`.
    pub request: Vec<u8>,
    pub spans: Vec<SpanData>,
    pub resource: Resource,
}

/// Creates records from any bytes.
pub fn sample(input: &[u8]) -> Sample {
    let mut input = RandomBytes(input);
    let limits = input.limits();
    let resource = input.resource();
    let scopes = [(); 3].map(|()| input.scope());
    let default_scope = input.scope();
    let records = input.0;
    let (clocks, now) = (Clocks::read(), Instant::now());
    let all = || {
        let mut input = RandomBytes(records);
        let mut all = Vec::new();
        for _ in 0..20 {
            if input.0.is_empty() {
                break;
            }
            all.push(input.record(&scopes, now, &limits));
        }
        all
    };
    let mut batch = Batch::new(&resource);
    // The second batch uses scopes of the first one.
    for _ in 0..2 {
        batch.clear();
        for mut record in all() {
            batch.add(&mut record, clocks, &default_scope, &limits);
        }
    }
    batch.sort();
    let spans = all()
        .iter_mut()
        .map(|record| record.take_span_data(clocks, &default_scope, &limits))
        .collect();
    Sample {
        request: batch.request(0..batch.len(), 0),
        spans,
        resource,
    }
}

/// Bytes that determine the records. After the end, all bytes are 0.
struct RandomBytes<'a>(&'a [u8]);

const KEYS: [&str; 6] = ["", "a", "http.route", "é", "level", "otel.name"];
const TEXTS: [&str; 5] = [
    "",
    "x",
    "GET /users/{id}",
    "\u{1f980}\u{0}",
    "line\r\nbreak",
];

impl RandomBytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        [(); N].map(|()| self.byte())
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn key(&mut self) -> &'static str {
        KEYS[self.below(KEYS.len())]
    }

    fn fixed_text(&mut self) -> &'static str {
        TEXTS[self.below(TEXTS.len())]
    }

    /// Returns a text whose length is near the limits of one and two bytes, or a short text.
    fn text(&mut self) -> String {
        let unit = self.fixed_text();
        let times = match self.byte() {
            0..=250 => 1,
            251 => 40,
            252 => 127,
            253 => 128,
            _ => 16_400,
        };
        unit.repeat(times)
    }

    fn int(&mut self) -> i64 {
        match self.byte() {
            0 => i64::MIN,
            1 => -1,
            2 => i64::MAX,
            3..50 => i64::from_le_bytes(self.bytes()),
            small => small.into(),
        }
    }

    fn float(&mut self) -> f64 {
        f64::from_bits(u64::from_le_bytes(self.bytes()))
    }

    fn value(&mut self) -> Value {
        let many = self.below(4);
        match self.below(8) {
            0 => self.int().into(),
            1 => self.float().into(),
            2 => self.bool().into(),
            3 => self.text().into(),
            4 => Value::Array(Array::I64((0..many).map(|_| self.int()).collect())),
            5 => Value::Array(Array::F64((0..many).map(|_| self.float()).collect())),
            6 => Value::Array(Array::Bool((0..many).map(|_| self.bool()).collect())),
            _ => Value::Array(Array::String(
                (0..many).map(|_| self.text().into()).collect(),
            )),
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        let count = self.below(4);
        (0..count)
            .map(|_| KeyValue::new(self.key(), self.value()))
            .collect()
    }

    fn limits(&mut self) -> Limits {
        let mut limit = || match self.byte() {
            0..200 => 128,
            small => u32::from(small % 4),
        };
        let span = SpanLimits {
            max_events_per_span: limit(),
            max_attributes_per_span: limit(),
            max_links_per_span: limit(),
            max_attributes_per_event: limit(),
            max_attributes_per_link: limit(),
        };
        let length = usize::try_from(limit()).unwrap_or_default();
        let text = TextLimits {
            length,
            ..TextLimits::default()
        };
        Limits { span, text }
    }

    fn resource(&mut self) -> Resource {
        let builder = Resource::builder_empty();
        let attributes = self.attributes();
        match self.bool() {
            true => builder.with_schema_url(attributes, self.fixed_text()),
            false => builder.with_attributes(attributes),
        }
        .build()
    }

    fn scope(&mut self) -> Arc<InstrumentationScope> {
        let mut builder = InstrumentationScope::builder(self.fixed_text());
        if self.bool() {
            builder = builder.with_version(self.fixed_text());
        }
        if self.bool() {
            builder = builder.with_schema_url(self.fixed_text());
        }
        Arc::new(builder.with_attributes(self.attributes()).build())
    }

    fn time(&mut self) -> SystemTime {
        let nanos = Duration::from_nanos(u64::from_le_bytes(self.bytes()));
        match self.byte() {
            0 => UNIX_EPOCH - nanos / 8,
            _ => UNIX_EPOCH + nanos,
        }
    }

    fn timestamp(&mut self, now: Instant) -> Timestamp {
        if self.bool() {
            return Timestamp::System(self.time());
        }
        let nanos = u32::from_le_bytes(self.bytes());
        Timestamp::Instant(now + Duration::from_nanos(nanos.into()))
    }

    fn span_context(&mut self) -> SpanContext {
        let trace = TraceId::from_bytes(self.bytes());
        let span = SpanId::from_bytes(self.bytes());
        let flags = TraceFlags::new(self.byte());
        let members = self.below(3);
        let members = ["a", "tenant@vendor"]
            .iter()
            .zip(["1", "x y"])
            .take(members);
        let state = TraceState::from_key_value(members).unwrap();
        SpanContext::new(trace, span, flags, self.bool(), state)
    }

    fn compact_attributes(&mut self, to: &mut AttributeBuffer) {
        for _ in 0..self.below(5) {
            let key = self.key();
            match self.below(8) {
                0 => to.int(key, self.int()),
                1 => to.float(key, self.float()),
                2 => to.bool(key, self.bool()),
                3 => to.fixed(key, self.fixed_text()),
                4 => to.address(key, Ipv4Addr::from(self.bytes::<4>()).into()),
                5 => to.address(key, Ipv6Addr::from(self.bytes::<16>()).into()),
                6 => to.debug(key, &self.fixed_text()),
                _ => to.text(key, &self.text()),
            }
        }
    }

    fn origin(&mut self) -> Origin {
        Origin {
            metadata: metadata(self.bool()),
            location: self.bool(),
            target: self.bool(),
            level: self.bool(),
        }
    }

    fn event(&mut self, record: &mut SpanRecord, now: Instant, limits: &Limits) {
        let mut attributes = AttributeBuffer::empty(limits.text);
        let mut text = |input: &mut Self| {
            let text = input.text();
            let is_used = input.bool();
            is_used.then(|| attributes.texts().store(&text)).flatten()
        };
        let log = LogOrigin {
            target: text(self),
            file: text(self),
            line: self.bool().then(|| self.int()),
        };
        let name = match text(self) {
            Some(range) => EventName::Text(range),
            None => EventName::Static(self.fixed_text()),
        };
        self.compact_attributes(&mut attributes);
        let event = CompactEvent {
            name,
            at: self.timestamp(now),
            origin: self.origin(),
            log,
            start: 0,
            end: 0,
            dropped: attributes.dropped(),
        };
        record.add_event(event, &attributes);
    }

    fn extras(&mut self, limits: &Limits) -> Extras {
        let mut extras = Extras::default();
        if self.bool() {
            extras.name(self.text().into(), limits);
        }
        for attribute in self.attributes() {
            extras.attribute(attribute, limits);
        }
        extras.dropped_attributes = u32::try_from(self.below(3)).unwrap_or_default();
        let status = match self.below(4) {
            0 => Status::Ok,
            1 => Status::error(self.text()),
            _ => Status::Unset,
        };
        extras.status(status, limits);
        for _ in 0..self.below(4) {
            let name: Cow<'_, _> = self.text().into();
            extras.event(name, self.time(), self.attributes(), limits);
        }
        for _ in 0..self.below(4) {
            extras.link(self.span_context(), self.attributes(), limits);
        }
        if self.bool() {
            extras.ended = Some(self.time());
        }
        extras
    }

    fn record(
        &mut self,
        scopes: &[Arc<InstrumentationScope>],
        now: Instant,
        limits: &Limits,
    ) -> SpanRecord {
        let mut record = SpanRecord::new(*limits);
        record.context = self.span_context();
        if self.bool() {
            record.parent = SpanId::from_bytes(self.bytes());
        }
        record.parent_is_remote = self.bool();
        if self.bool() {
            record.set_origin(self.origin());
        }
        record.kind = match self.below(5) {
            0 => SpanKind::Client,
            1 => SpanKind::Server,
            2 => SpanKind::Producer,
            3 => SpanKind::Consumer,
            _ => SpanKind::Internal,
        };
        let scope = self.below(scopes.len() + 1);
        record.scope.set(&scopes.get(scope).cloned());
        record.started = self.timestamp(now);
        record.ended = self.timestamp(now);
        match self.below(3) {
            0 => record.set_name(&self.text(), None),
            1 => record.set_static_name(self.fixed_text()),
            _ => {}
        }
        self.compact_attributes(&mut record.attributes);
        record.start_attributes = record.attributes.len();
        self.compact_attributes(&mut record.attributes);
        for _ in 0..self.below(4) {
            self.event(&mut record, now, limits);
        }
        if self.bool() {
            record.extras = Some(Box::new(self.extras(limits)));
        }
        if self.bool() {
            record.context_extras = Some(Box::new(self.extras(limits)));
        }
        record
    }
}

/// Returns the metadata of a span or of an event.
fn metadata(is_span: bool) -> &'static Metadata<'static> {
    if is_span {
        tracing::callsite! { name: "span", kind: Kind::SPAN, fields: }.metadata()
    } else {
        tracing::callsite! { name: "event", kind: Kind::EVENT, fields: }.metadata()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::{
        tonic::{collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value},
        transform::{
            common::tonic::ResourceAttributesWithSchema,
            trace::tonic::group_spans_by_resource_and_scope,
        },
    };
    use proptest::{collection::vec, prelude::*};
    use prost::Message;

    use super::*;

    /// Returns the request that opentelemetry-otlp sends.
    fn by_opentelemetry_otlp(sample: &Sample) -> ExportTraceServiceRequest {
        let resource = ResourceAttributesWithSchema::from(&sample.resource);
        ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(sample.spans.clone(), &resource),
        }
    }

    /// The order of scopes has no meaning.
    fn sort(request: &mut ExportTraceServiceRequest) {
        for resource in &mut request.resource_spans {
            resource.scope_spans.sort_by_key(Message::encode_to_vec);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 600,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_request_is_what_opentelemetry_otlp_sends(input in vec(any::<u8>(), 0..3_000)) {
            let sample = sample(&input);
            let mut ours = ExportTraceServiceRequest::decode(&*sample.request).unwrap();
            let mut theirs = by_opentelemetry_otlp(&sample);
            sort(&mut ours);
            sort(&mut theirs);
            // NaN does not equal itself.
            if ours.encode_to_vec() != theirs.encode_to_vec() {
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn random_records_cover_what_is_compared() {
        use proptest::{strategy::ValueTree, test_runner::TestRunner};

        let mut runner = TestRunner::deterministic();
        let inputs = vec(any::<u8>(), 0..3_000);
        let mut text = String::new();
        for _ in 0..100 {
            let input = inputs.new_tree(&mut runner).unwrap().current();
            let request = ExportTraceServiceRequest::decode(&*sample(&input).request).unwrap();
            text += &format!("{request:?}");
        }
        let array = format!("{:?}", any_value::Value::ArrayValue(Default::default()));
        for part in [
            "trace_state: \"a=1,tenant@vendor=x y\"",
            "parent_span_id: []",
            "flags: 257",
            "flags: 769",
            "dropped_attributes_count: 1",
            "dropped_events_count: 1",
            "dropped_links_count: 1",
            "IntValue(-1)",
            "DoubleValue",
            "BoolValue(false)",
            "StringValue(\"\")",
            &array,
            "code: Ok",
            "code: Error",
            "schema_url: \"GET /users/{id}\"",
            "start_time_unix_nano: 0",
            "code.file.path",
            "key: \"target\"",
        ] {
            assert!(text.contains(part), "no record has {part}");
        }
    }
}
