//! Optional parts of a span: status, events, links, and attributes that are not compact.

use std::{borrow::Cow, fmt, mem, time::SystemTime};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, SpanContext, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

use crate::{
    key_values::{cut_attribute, cut_attributes},
    limits::{Limits, NAME_LENGTH, cut_cow},
};

/// The parts of a span that are allocated on demand.
#[derive(Clone, Default)]
pub(crate) struct Extras {
    /// Replaces the name of the span.
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) dropped_attributes: u32,
    pub(crate) status: Status,
    pub(crate) events: SpanEvents,
    pub(crate) links: SpanLinks,
    /// The end that was set through the OpenTelemetry context before the owner ended the span.
    pub(crate) ended: Option<SystemTime>,
    /// The number of bytes of texts and arrays, and of events and links with their attributes.
    bytes: usize,
}

/// The state of [`Extras`] before a change.
pub(crate) struct Mark {
    name: Option<Cow<'static, str>>,
    attributes: usize,
    status: Status,
    events: usize,
    links: usize,
    bytes: usize,
}

impl fmt::Debug for Extras {
    /// Omits the values, because they may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extras")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Extras {
    /// Returns the number of bytes that count towards the [limit](crate::limits::TextLimits::bytes).
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of allocated bytes, or slightly more.
    pub(crate) const fn allocated(&self) -> usize {
        size_of::<Self>()
            + self.bytes
            + self.attributes.capacity() * size_of::<KeyValue>()
            + (self.events.events.capacity() - self.events.events.len()) * size_of::<Event>()
            + (self.links.links.capacity() - self.links.links.len()) * size_of::<Link>()
    }

    /// Replaces `old` counted bytes with `new` ones. Returns `false` and changes nothing if that exceeds the limit.
    fn replace(&mut self, old: usize, new: usize, limits: &Limits) -> bool {
        let bytes = self.bytes.saturating_sub(old).saturating_add(new);
        let fits = bytes <= limits.text.bytes;
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Sets the name, unless it exceeds the limit.
    pub(crate) fn name(&mut self, name: Cow<'static, str>, limits: &Limits) {
        let name = cut_cow(name, NAME_LENGTH);
        let old = self.name.as_ref().map_or(0, |name| name.len());
        if self.replace(old, name.len(), limits) {
            self.name = Some(name);
        }
    }

    pub(crate) fn attribute(&mut self, mut attribute: KeyValue, limits: &Limits) {
        let is_full = self.attributes.len() >= count(limits.span.max_attributes_per_span);
        let bytes = cut_attribute(&mut attribute, limits.text.length);
        if !is_full && self.replace(0, bytes, limits) {
            self.attributes.push(attribute);
        } else {
            self.dropped_attributes = self.dropped_attributes.saturating_add(1);
        }
    }

    pub(crate) fn event(
        &mut self,
        name: Cow<'static, str>,
        at: SystemTime,
        attributes: Vec<KeyValue>,
        limits: &Limits,
    ) {
        let name = cut_cow(name, NAME_LENGTH);
        let (attributes, dropped) = limited(attributes, limits.span.max_attributes_per_event);
        self.add_event(Event::new(name, at, attributes, dropped), limits);
    }

    fn add_event(&mut self, mut event: Event, limits: &Limits) {
        let is_full = self.events.len() >= count(limits.span.max_events_per_span);
        let bytes = cut_attributes(&mut event.attributes, limits.text.length);
        let bytes = bytes
            .saturating_add(size_of::<Event>())
            .saturating_add(event.name.len());
        if !is_full && self.replace(0, bytes, limits) {
            self.events.events.push(event);
        } else {
            self.events.dropped_count = self.events.dropped_count.saturating_add(1);
        }
    }

    /// Drops the events over the limit. Counts them and `dropped` further ones.
    pub(crate) fn drop_events(&mut self, limits: &Limits, dropped: u32) {
        let events = &mut self.events;
        let limit = count(limits.span.max_events_per_span);
        let over = events.events.len().saturating_sub(limit);
        events.events.truncate(limit);
        let over = u32::try_from(over).unwrap_or(u32::MAX);
        events.dropped_count = events
            .dropped_count
            .saturating_add(over)
            .saturating_add(dropped);
    }

    pub(crate) fn link(&mut self, to: SpanContext, attributes: Vec<KeyValue>, limits: &Limits) {
        let (attributes, dropped) = limited(attributes, limits.span.max_attributes_per_link);
        self.add_link(Link::new(to, attributes, dropped), limits);
    }

    fn add_link(&mut self, mut link: Link, limits: &Limits) {
        let is_full = self.links.len() >= count(limits.span.max_links_per_span);
        let bytes = cut_attributes(&mut link.attributes, limits.text.length)
            .saturating_add(size_of::<Link>())
            .saturating_add(trace_state_bytes(&link.span_context));
        if !is_full && self.replace(0, bytes, limits) {
            self.links.links.push(link);
        } else {
            self.links.dropped_count = self.links.dropped_count.saturating_add(1);
        }
    }

    /// Sets the status, unless a higher status is set. `Ok` is higher than `Error`, and `Error` is higher than `Unset`. A
    /// description that exceeds the limit is omitted.
    pub(crate) fn status(&mut self, status: Status, limits: &Limits) {
        if status <= self.status {
            return;
        }
        let old = description(&self.status).len();
        let status = match status {
            Status::Error { description } => {
                let description = cut_cow(description, NAME_LENGTH);
                let fits = self.replace(old, description.len(), limits);
                if !fits {
                    self.bytes = self.bytes.saturating_sub(old);
                }
                Status::error(if fits { description } else { "".into() })
            }
            status => {
                self.bytes = self.bytes.saturating_sub(old);
                status
            }
        };
        self.status = status;
    }

    /// Returns the mark with which [`undo`](Self::undo) drops the next change.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            name: self.name.clone(),
            attributes: self.attributes.len(),
            status: self.status.clone(),
            events: self.events.len(),
            links: self.links.len(),
            bytes: self.bytes,
        }
    }

    /// Drops and counts the values that were added since the mark. A new status stays, without its description.
    pub(crate) fn undo(&mut self, mark: Mark) {
        let added = |now: usize, before: usize| {
            u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX)
        };
        let attributes = added(self.attributes.len(), mark.attributes);
        self.dropped_attributes = self.dropped_attributes.saturating_add(attributes);
        self.attributes.truncate(mark.attributes);
        let events = &mut self.events;
        let dropped = added(events.len(), mark.events);
        events.dropped_count = events.dropped_count.saturating_add(dropped);
        events.events.truncate(mark.events);
        let links = &mut self.links;
        let dropped = added(links.len(), mark.links);
        links.dropped_count = links.dropped_count.saturating_add(dropped);
        links.links.truncate(mark.links);
        self.name = mark.name;
        self.bytes = mark.bytes;
        match (&self.status, mark.status) {
            (Status::Error { .. }, Status::Unset) => self.status = Status::error(""),
            (Status::Ok, before) => {
                self.bytes = self.bytes.saturating_sub(description(&before).len());
            }
            (_, before) => self.status = before,
        }
    }

    /// Drops values that exceed the limits.
    pub(crate) fn fit(&mut self, limits: &Limits) {
        let all = mem::take(self);
        self.append(all, limits);
    }

    /// Appends `other`, within the limits.
    pub(crate) fn append(&mut self, other: Self, limits: &Limits) {
        if let Some(name) = other.name {
            self.name(name, limits);
        }
        self.status(other.status, limits);
        for attribute in other.attributes {
            self.attribute(attribute, limits);
        }
        self.dropped_attributes = self
            .dropped_attributes
            .saturating_add(other.dropped_attributes);
        for event in other.events.events {
            self.add_event(event, limits);
        }
        let dropped = other.events.dropped_count;
        self.events.dropped_count = self.events.dropped_count.saturating_add(dropped);
        for link in other.links.links {
            self.add_link(link, limits);
        }
        let dropped = other.links.dropped_count;
        self.links.dropped_count = self.links.dropped_count.saturating_add(dropped);
        self.ended = self.ended.or(other.ended);
    }
}

/// Returns the number of bytes that the trace state has allocated, or slightly fewer. Any client may send 32 members of 512
/// bytes.
#[inline(always)]
pub(crate) fn trace_state_bytes(context: &SpanContext) -> usize {
    match context.trace_state() {
        state if *state == TraceState::NONE => 0,
        state => state_bytes(state),
    }
}

#[cold]
fn state_bytes(state: &TraceState) -> usize {
    header_bytes(&state.header())
}

fn header_bytes(header: &str) -> usize {
    if header.is_empty() {
        return 0;
    }
    header.len() + header.split(',').count() * size_of::<(String, String)>()
}

fn description(status: &Status) -> &str {
    match status {
        Status::Error { description } => description,
        _ => "",
    }
}

/// Returns the first `limit` attributes and the number of the others.
pub(crate) fn limited(mut attributes: Vec<KeyValue>, limit: u32) -> (Vec<KeyValue>, u32) {
    let dropped = attributes.len().saturating_sub(count(limit));
    attributes.truncate(count(limit));
    (attributes, u32::try_from(dropped).unwrap_or(u32::MAX))
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::SpanLimits;

    use super::*;

    #[test]
    fn limits_hold_for_the_sum_of_both_parts() {
        let limits = Limits {
            span: SpanLimits {
                max_attributes_per_span: 3,
                max_events_per_span: 1,
                max_links_per_span: 1,
                ..SpanLimits::default()
            },
            ..Limits::default()
        };
        let extras = || {
            let mut extras = Extras::default();
            for n in 0..2 {
                extras.attribute(KeyValue::new("n", n), &limits);
                extras.event("event".into(), SystemTime::UNIX_EPOCH, Vec::new(), &limits);
                extras.link(SpanContext::NONE, Vec::new(), &limits);
            }
            extras
        };
        let mut sum = extras();
        sum.append(extras(), &limits);
        assert_eq!((sum.attributes.len(), sum.dropped_attributes), (3, 1));
        assert_eq!((sum.events.len(), sum.events.dropped_count), (1, 3));
        assert_eq!((sum.links.len(), sum.links.dropped_count), (1, 3));
    }

    #[test]
    fn a_status_and_a_name_that_are_replaced_free_their_bytes() {
        let limits = Limits::default().with_bytes(12);
        let mut extras = Extras::default();
        for text in ["12345", "23456", "345678"] {
            extras.name(text.into(), &limits);
            assert_eq!(extras.name.as_deref(), Some(text));
            extras.status(Status::error(text), &limits);
        }
        assert_eq!(extras.bytes(), 12);
    }

    #[test]
    fn a_change_that_is_undone_is_counted_and_leaves_the_rest() {
        let limits = Limits::default();
        let add = |extras: &mut Extras| {
            extras.attribute(KeyValue::new("text", "value"), &limits);
            extras.event("event".into(), SystemTime::UNIX_EPOCH, Vec::new(), &limits);
            extras.link(SpanContext::NONE, Vec::new(), &limits);
            extras.name("name".into(), &limits);
        };
        for (before, now, expected) in [
            (Status::Unset, Status::error("new"), Status::error("")),
            (Status::error("a"), Status::error("b"), Status::error("a")),
            (Status::error("a"), Status::Ok, Status::Ok),
            (Status::Unset, Status::Unset, Status::Unset),
        ] {
            let mut extras = Extras::default();
            add(&mut extras);
            let bytes = extras.bytes();
            extras.status(before, &limits);
            let mark = extras.mark();
            add(&mut extras);
            extras.name("another name".into(), &limits);
            extras.status(now, &limits);
            extras.undo(mark);
            assert_eq!(extras.name.as_deref(), Some("name"));
            assert_eq!((extras.attributes.len(), extras.dropped_attributes), (1, 1));
            assert_eq!((extras.events.len(), extras.events.dropped_count), (1, 1));
            assert_eq!((extras.links.len(), extras.links.dropped_count), (1, 1));
            let description = description(&expected).len();
            assert_eq!(extras.bytes(), bytes + description);
            assert_eq!(extras.status, expected);
        }
    }

    #[test]
    fn an_ok_status_is_final() {
        let limits = Limits::default();
        let mut extras = Extras::default();
        extras.status(Status::Ok, &limits);
        extras.status(Status::error("too late"), &limits);
        assert_eq!(extras.status, Status::Ok);
    }
}
