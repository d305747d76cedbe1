//! The events of one span, as compact values in reusable buffers.

use std::borrow::Cow;

use opentelemetry::{KeyValue, Value, trace::Event};

use crate::{
    buffer::AttributeBuffer,
    clock::{Clocks, Timestamp},
    extras::{Extras, limited},
    keys::{LEVEL, TARGET},
    limits::{Limits, TextLimits},
    origin::{self, Origin},
    texts::TextRange,
};

/// A buffer with a larger capacity is shrunk before it is reused.
const MAX_REUSED: usize = 16;

/// The events of one span. Their attributes are in one buffer.
#[derive(Debug)]
pub(crate) struct EventBuffer {
    pub(crate) events: Vec<CompactEvent>,
    pub(crate) attributes: AttributeBuffer,
    /// The number of events that were dropped.
    pub(crate) dropped: u32,
}

/// An event of `tracing`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompactEvent {
    pub(crate) name: EventName,
    pub(crate) at: Timestamp,
    pub(crate) origin: Origin,
    /// Replaces the target and the location of `origin`.
    pub(crate) log: LogOrigin,
    /// The index of the first attribute.
    pub(crate) start: usize,
    /// The index after the last attribute.
    pub(crate) end: usize,
    /// The number of attributes that were dropped.
    pub(crate) dropped: u32,
}

/// The name of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventName {
    Static(&'static str),
    Text(TextRange),
}

/// The origin of a record of the `log` crate, from the fields of the event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogOrigin {
    pub(crate) target: Option<TextRange>,
    pub(crate) file: Option<TextRange>,
    pub(crate) line: Option<i64>,
}

impl EventBuffer {
    pub(crate) const fn new(limits: TextLimits) -> Self {
        Self {
            events: Vec::new(),
            attributes: AttributeBuffer::empty(limits),
            dropped: 0,
        }
    }

    /// Returns whether there are fewer than `limit` events.
    pub(crate) fn has_place(&self, limit: u32) -> bool {
        self.events.len() < usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// Counts an event that is dropped.
    pub(crate) const fn drop_event(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// Returns the number of bytes of the object and its buffers.
    pub(crate) const fn allocated(&self) -> usize {
        size_of::<Self>()
            + self.events.capacity() * size_of::<CompactEvent>()
            + self.attributes.allocated()
    }

    /// Adds an event. The ranges of `event` are those of `attributes`.
    pub(crate) fn push(&mut self, mut event: CompactEvent, attributes: &AttributeBuffer) {
        let offset = self.attributes.text_len();
        if let EventName::Text(name) = event.name {
            event.name = EventName::Text(name.moved(offset));
        }
        event.log.target = event.log.target.map(|range| range.moved(offset));
        event.log.file = event.log.file.map(|range| range.moved(offset));
        event.start = self.attributes.len();
        self.attributes.append(attributes);
        event.end = self.attributes.len();
        self.events.push(event);
    }

    /// Appends the events to those of `extras`, in the order of their times.
    pub(crate) fn append_to(&self, extras: &mut Extras, clocks: Clocks, limits: &Limits) {
        if self.events.is_empty() && self.dropped == 0 {
            return;
        }
        let has_others = !extras.events.events.is_empty();
        let own = self
            .events
            .iter()
            .map(|event| self.event(event, clocks, limits));
        extras.events.events.extend(own);
        if has_others {
            extras.events.events.sort_by_key(|event| event.timestamp);
        }
        extras.drop_events(limits, self.dropped);
    }

    fn event(&self, event: &CompactEvent, clocks: Clocks, limits: &Limits) -> Event {
        let stored = |range| Value::from(self.attributes.stored(range).to_owned());
        let CompactEvent { origin, log, .. } = event;
        let metadata = origin.metadata;
        let count = event.end.saturating_sub(event.start) + Origin::ATTRIBUTES;
        let mut attributes = Vec::with_capacity(count);
        attributes.push(KeyValue::new(LEVEL, metadata.level().as_str()));
        let target = log.target.map_or_else(|| metadata.target().into(), stored);
        attributes.push(KeyValue::new(TARGET, target));
        attributes.extend(self.attributes.key_values(event.start, event.end));
        if origin.location {
            let file = log
                .file
                .map(stored)
                .or_else(|| metadata.file().map(Value::from));
            let line = log.line.or_else(|| metadata.line().map(i64::from));
            origin::location(&mut attributes, file, line);
        }
        let name = match event.name {
            EventName::Static(name) => Cow::Borrowed(name),
            EventName::Text(range) => Cow::Owned(self.attributes.stored(range).to_owned()),
        };
        let (attributes, dropped) = limited(attributes, limits.span.max_attributes_per_event);
        let dropped = dropped.saturating_add(event.dropped);
        Event::new(name, clocks.system_time(event.at), attributes, dropped)
    }

    /// Removes all events and keeps the capacity, up to a bound.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.events.shrink_to(MAX_REUSED);
        self.attributes.clear();
        self.dropped = 0;
    }
}
