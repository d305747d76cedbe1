//! A span as an OTLP message, written from its record.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{
    SpanId, TraceFlags,
    trace::{Event, Link, SpanKind, Status},
};

use crate::{
    clock::{Clocks, Timestamp},
    encoding::{attributes::AttributeWriter, protobuf::Writer},
    events::{CompactEvent, EventBuffer, EventName},
    extras::Extras,
    keys::{KEEP_REASON, LEVEL, TARGET},
    limits::Limits,
    origin::Origin,
    record::{Name, SpanRecord},
};
use tower_otel_semconv::attribute::{CODE_FILE_PATH, CODE_LINE_NUMBER};

/// The fields of `Span`.
mod field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START_TIME: u32 = 7;
    pub(super) const END_TIME: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const DROPPED_ATTRIBUTES: u32 = 10;
    pub(super) const EVENTS: u32 = 11;
    pub(super) const DROPPED_EVENTS: u32 = 12;
    pub(super) const LINKS: u32 = 13;
    pub(super) const DROPPED_LINKS: u32 = 14;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;

    pub(super) mod event {
        pub(in super::super) const TIME: u32 = 1;
        pub(in super::super) const NAME: u32 = 2;
        pub(in super::super) const ATTRIBUTES: u32 = 3;
        pub(in super::super) const DROPPED_ATTRIBUTES: u32 = 4;
    }

    pub(super) mod link {
        pub(in super::super) const TRACE_ID: u32 = 1;
        pub(in super::super) const SPAN_ID: u32 = 2;
        pub(in super::super) const TRACE_STATE: u32 = 3;
        pub(in super::super) const ATTRIBUTES: u32 = 4;
        pub(in super::super) const DROPPED_ATTRIBUTES: u32 = 5;
        pub(in super::super) const FLAGS: u32 = 6;
    }

    pub(super) mod status {
        pub(in super::super) const MESSAGE: u32 = 2;
        pub(in super::super) const CODE: u32 = 3;
    }
}

/// The flag that [`IS_REMOTE`] is known.
const HAS_IS_REMOTE: u32 = 0x100;
/// The flag that the parent, or the linked span, is in another process.
const IS_REMOTE: u32 = 0x200;

impl SpanRecord {
    /// Writes the fields of the span. Takes the extras out of the record; the record must be cleared before it is reused.
    pub(crate) fn write_otlp(&mut self, writer: &mut Writer, clocks: Clocks, limits: &Limits) {
        let mut extras = self.take_extras(limits);
        let context = &self.context;
        writer.present_bytes(field::TRACE_ID, &context.trace_id().to_bytes());
        writer.present_bytes(field::SPAN_ID, &context.span_id().to_bytes());
        let state = context.trace_state().header();
        writer.bytes(field::TRACE_STATE, state.as_bytes());
        if self.parent != SpanId::INVALID {
            writer.present_bytes(field::PARENT_SPAN_ID, &self.parent.to_bytes());
        }
        let name = match (&extras.name, self.name) {
            (Some(name), _) => name,
            (None, Name::Static(name)) => name,
            (None, Name::Text(range)) => self.attributes.stored(range),
        };
        writer.bytes(field::NAME, name.as_bytes());
        writer.uint(field::KIND, kind(&self.kind));
        let started = clocks.system_time(self.started);
        let ended = extras.ended.map_or(self.ended, Timestamp::System);
        // The system clock may have been set back since the start.
        let ended = clocks.system_time(ended).max(started);
        writer.fixed64(field::START_TIME, nanos(started));
        writer.fixed64(field::END_TIME, nanos(ended));
        self.write_attributes(writer, &extras, limits);
        self.write_events(writer, &mut extras, clocks, limits);
        for link in extras.links.links.iter() {
            writer.message(field::LINKS, |writer| write_link(writer, link));
        }
        writer.uint(field::DROPPED_LINKS, extras.links.dropped_count.into());
        writer.message(field::STATUS, |writer| write_status(writer, &extras.status));
        let flags = flags(self.context.trace_flags(), self.parent_is_remote);
        writer.fixed32(field::FLAGS, flags);
    }

    /// Writes the fields of the span. The span stays in the record.
    pub(crate) fn write_otlp_copy(&mut self, writer: &mut Writer, clocks: Clocks, limits: &Limits) {
        let has_extras = self.extras.is_some() || self.context_extras.is_some();
        let extras = has_extras.then(|| Box::new(self.take_extras(limits)));
        self.extras.clone_from(&extras);
        self.write_otlp(writer, clocks, limits);
        self.extras = extras;
    }

    /// Writes the attributes: those of the start first, those added later last.
    fn write_attributes(&self, writer: &mut Writer, extras: &Extras, limits: &Limits) {
        let limit = limits.span.max_attributes_per_span;
        let mut attributes = AttributeWriter::new(writer, field::ATTRIBUTES, limit);
        if let Some(reason) = self.kept {
            attributes.text(KEEP_REASON, reason.as_str());
        }
        if let Some(origin) = &self.origin {
            write_origin(&mut attributes, origin);
        }
        if let Some(template) = self.template.get() {
            for (key, value) in template.borrowed(0, template.len()) {
                attributes.compact(key, value);
            }
        }
        for (key, value) in self.attributes.borrowed(0, self.start_attributes) {
            attributes.compact(key, value);
        }
        attributes.all(&extras.attributes);
        let all = self.attributes.len();
        for (key, value) in self.attributes.borrowed(self.start_attributes, all) {
            attributes.compact(key, value);
        }
        let dropped = extras
            .dropped_attributes
            .saturating_add(self.attributes.dropped())
            .saturating_add(attributes.dropped());
        writer.uint(field::DROPPED_ATTRIBUTES, dropped.into());
    }

    fn write_events(
        &self,
        writer: &mut Writer,
        extras: &mut Extras,
        clocks: Clocks,
        limits: &Limits,
    ) {
        if extras.events.events.is_empty() {
            if let Some(events) = &self.events {
                for event in &events.events {
                    writer.message(field::EVENTS, |writer| {
                        write_event(writer, events, event, clocks, limits);
                    });
                }
                extras.drop_events(limits, events.dropped);
            }
        } else {
            // Merged by time. Few spans have events of both `tracing` and the OpenTelemetry API.
            if let Some(events) = &self.events {
                events.append_to(extras, clocks, limits);
            }
            for event in extras.events.events.iter() {
                writer.message(field::EVENTS, |writer| write_sdk_event(writer, event));
            }
        }
        let dropped = extras.events.dropped_count;
        writer.uint(field::DROPPED_EVENTS, dropped.into());
    }
}

fn write_origin(attributes: &mut AttributeWriter<'_>, origin: &Origin) {
    let metadata = origin.metadata;
    if origin.location {
        write_location(attributes, metadata.file(), metadata.line().map(i64::from));
    }
    if origin.level {
        attributes.text(LEVEL, metadata.level().as_str());
    }
    if origin.target {
        attributes.text(TARGET, metadata.target());
    }
}

fn write_location(attributes: &mut AttributeWriter<'_>, file: Option<&str>, line: Option<i64>) {
    if let Some(file) = file {
        attributes.text(CODE_FILE_PATH, file);
    }
    if let Some(line) = line {
        attributes.int(CODE_LINE_NUMBER, line);
    }
}

/// Writes an event of `tracing`.
fn write_event(
    writer: &mut Writer,
    events: &EventBuffer,
    event: &CompactEvent,
    clocks: Clocks,
    limits: &Limits,
) {
    let CompactEvent { origin, log, .. } = event;
    let metadata = origin.metadata;
    let stored = |range| events.attributes.stored(range);
    let name = match event.name {
        EventName::Static(name) => name,
        EventName::Text(range) => stored(range),
    };
    writer.fixed64(field::event::TIME, nanos(clocks.system_time(event.at)));
    writer.bytes(field::event::NAME, name.as_bytes());
    let limit = limits.span.max_attributes_per_event;
    let mut attributes = AttributeWriter::new(writer, field::event::ATTRIBUTES, limit);
    attributes.text(LEVEL, metadata.level().as_str());
    attributes.text(TARGET, log.target.map_or_else(|| metadata.target(), stored));
    for (key, value) in events.attributes.borrowed(event.start, event.end) {
        attributes.compact(key, value);
    }
    if origin.location {
        let file = log.file.map(stored).or_else(|| metadata.file());
        let line = log.line.or_else(|| metadata.line().map(i64::from));
        write_location(&mut attributes, file, line);
    }
    let dropped = attributes.dropped().saturating_add(event.dropped);
    writer.uint(field::event::DROPPED_ATTRIBUTES, dropped.into());
}

/// Writes an event of the OpenTelemetry API.
fn write_sdk_event(writer: &mut Writer, event: &Event) {
    writer.fixed64(field::event::TIME, nanos(event.timestamp));
    writer.bytes(field::event::NAME, event.name.as_bytes());
    AttributeWriter::new(writer, field::event::ATTRIBUTES, u32::MAX).all(&event.attributes);
    let dropped = event.dropped_attributes_count;
    writer.uint(field::event::DROPPED_ATTRIBUTES, dropped.into());
}

fn write_link(writer: &mut Writer, link: &Link) {
    let context = &link.span_context;
    writer.present_bytes(field::link::TRACE_ID, &context.trace_id().to_bytes());
    writer.present_bytes(field::link::SPAN_ID, &context.span_id().to_bytes());
    let state = context.trace_state().header();
    writer.bytes(field::link::TRACE_STATE, state.as_bytes());
    AttributeWriter::new(writer, field::link::ATTRIBUTES, u32::MAX).all(&link.attributes);
    let dropped = link.dropped_attributes_count;
    writer.uint(field::link::DROPPED_ATTRIBUTES, dropped.into());
    let flags = flags(context.trace_flags(), context.is_remote());
    writer.fixed32(field::link::FLAGS, flags);
}

fn write_status(writer: &mut Writer, status: &Status) {
    let code = match status {
        Status::Unset => 0,
        Status::Ok => 1,
        Status::Error { description } => {
            writer.bytes(field::status::MESSAGE, description.as_bytes());
            2
        }
    };
    writer.uint(field::status::CODE, code);
}

const fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(flags: TraceFlags, is_remote: bool) -> u32 {
    let remote = if is_remote { IS_REMOTE } else { 0 };
    u32::from(flags.to_u8()) | HAS_IS_REMOTE | remote
}

/// Returns nanoseconds since 1970, and 0 for a time before.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;

    #[test]
    fn a_span_is_exported_as_if_it_had_not_been_copied() {
        let mut record = SpanRecord::new(Limits::default());
        record.set_name("name", None);
        record.attributes().int("start", 1);
        record.start_attributes = record.attributes.len();
        record.change(|extras, limits| extras.attribute(KeyValue::new("extra", 2), limits));
        let (clocks, limits) = (Clocks::read(), Limits::default());
        let mut handler = Extras::default();
        handler.status(Status::error("failed"), &limits);
        handler.event("event".into(), SystemTime::now(), Vec::new(), &limits);
        record.context_extras = Some(Box::new(handler));
        let [mut copy, mut again, mut taken] = [(); 3].map(|()| Writer::default());
        record.write_otlp_copy(&mut copy, clocks, &limits);
        record.write_otlp_copy(&mut again, clocks, &limits);
        record.write_otlp(&mut taken, clocks, &limits);
        assert_eq!(copy.as_slice(), again.as_slice());
        assert_eq!(copy.as_slice(), taken.as_slice());
        let text = String::from_utf8_lossy(taken.as_slice());
        for part in ["name", "start", "extra", "failed", "event"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
