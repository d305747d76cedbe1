//! What few spans have: status, events, links, and attributes that are not compact.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, SpanContext, Status},
};
use opentelemetry_sdk::trace::{SpanEvents, SpanLimits, SpanLinks};

/// The parts of a span that are allocated on demand.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Replaces the name of the span.
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) dropped_attributes: u32,
    pub(crate) status: Status,
    pub(crate) events: SpanEvents,
    pub(crate) links: SpanLinks,
    /// The end that was set through the OpenTelemetry context, before the owner of the span ended it.
    pub(crate) ended: Option<SystemTime>,
}

impl Extras {
    pub(crate) fn attribute(&mut self, attribute: KeyValue, limits: &SpanLimits) {
        if self.attributes.len() < count(limits.max_attributes_per_span) {
            self.attributes.push(attribute);
        } else {
            self.dropped_attributes = self.dropped_attributes.saturating_add(1);
        }
    }

    /// Counts dropped attributes.
    pub(crate) fn drop_attributes(&mut self, dropped: usize) {
        let dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        self.dropped_attributes = self.dropped_attributes.saturating_add(dropped);
    }

    pub(crate) fn event(
        &mut self,
        name: Cow<'static, str>,
        at: SystemTime,
        attributes: Vec<KeyValue>,
        limits: &SpanLimits,
    ) {
        let events = &mut self.events;
        if events.events.len() < count(limits.max_events_per_span) {
            let (attributes, dropped) = limited(attributes, limits.max_attributes_per_event);
            let event = Event::new(name, at, attributes, dropped);
            events.events.push(event);
        } else {
            events.dropped_count = events.dropped_count.saturating_add(1);
        }
    }

    /// Drops the events over the limit, and counts them and `dropped` ones.
    pub(crate) fn drop_events(&mut self, limits: &SpanLimits, dropped: u32) {
        let events = &mut self.events;
        let limit = count(limits.max_events_per_span);
        let over = events.events.len().saturating_sub(limit);
        events.events.truncate(limit);
        let over = u32::try_from(over).unwrap_or(u32::MAX);
        events.dropped_count = events
            .dropped_count
            .saturating_add(over)
            .saturating_add(dropped);
    }

    pub(crate) fn link(&mut self, to: SpanContext, attributes: Vec<KeyValue>, limits: &SpanLimits) {
        let links = &mut self.links;
        if links.links.len() < count(limits.max_links_per_span) {
            let (attributes, dropped) = limited(attributes, limits.max_attributes_per_link);
            links.links.push(Link::new(to, attributes, dropped));
        } else {
            links.dropped_count = links.dropped_count.saturating_add(1);
        }
    }

    /// Sets the status, unless it is already set to a higher one: `Ok` is above `Error`, `Error` above `Unset`.
    pub(crate) fn status(&mut self, status: Status) {
        if status > self.status {
            self.status = status;
        }
    }

    /// Appends `other`, within the limits.
    pub(crate) fn append(&mut self, other: Self, limits: &SpanLimits) {
        if other.name.is_some() {
            self.name = other.name;
        }
        for attribute in other.attributes {
            self.attribute(attribute, limits);
        }
        self.dropped_attributes = self
            .dropped_attributes
            .saturating_add(other.dropped_attributes);
        self.status(other.status);
        for event in other.events.events {
            if self.events.events.len() < count(limits.max_events_per_span) {
                self.events.events.push(event);
            } else {
                self.events.dropped_count = self.events.dropped_count.saturating_add(1);
            }
        }
        let dropped = other.events.dropped_count;
        self.events.dropped_count = self.events.dropped_count.saturating_add(dropped);
        for link in other.links.links {
            if self.links.links.len() < count(limits.max_links_per_span) {
                self.links.links.push(link);
            } else {
                self.links.dropped_count = self.links.dropped_count.saturating_add(1);
            }
        }
        let dropped = other.links.dropped_count;
        self.links.dropped_count = self.links.dropped_count.saturating_add(dropped);
        self.ended = self.ended.or(other.ended);
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
    use super::*;

    #[test]
    fn limits_hold_for_the_sum_of_both_parts() {
        let limits = SpanLimits {
            max_attributes_per_span: 3,
            max_events_per_span: 1,
            max_links_per_span: 1,
            ..SpanLimits::default()
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
    fn an_ok_status_is_final() {
        let mut extras = Extras::default();
        extras.status(Status::Ok);
        extras.status(Status::error("too late"));
        assert_eq!(extras.status, Status::Ok);
    }
}
