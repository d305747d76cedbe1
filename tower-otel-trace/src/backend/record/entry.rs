//! What one exchange leaves behind, and how a span is made of it.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId,
    trace::{Event, Link, SpanContext, SpanKind, Status},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLimits, SpanLinks};
use tower_otel_core::{
    Kind,
    semconv::{attribute, span_name},
};

use super::tape::Tape;

/// A span that is not made yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) context: SpanContext,
    pub(super) parent: SpanId,
    pub(super) parent_is_remote: bool,
    pub(super) kind: Kind,
    /// What was called, of a gRPC call. Other names are made of what is on the tape.
    pub(super) called: Option<Box<str>>,
    pub(super) started: SystemTime,
    pub(super) ended: SystemTime,
    /// The status of the response, which nearly every exchange has.
    pub(super) status_code: Option<i64>,
    pub(super) tape: Tape,
    pub(super) added: Option<Box<Added>>,
}

/// What few spans have.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) status: Status,
    pub(super) events: SpanEvents,
    pub(super) links: SpanLinks,
    pub(super) dropped_attributes: u32,
}

impl Entry {
    pub(super) fn added(&mut self) -> &mut Added {
        self.added.get_or_insert_default()
    }

    pub(super) fn attribute(&mut self, attribute: KeyValue, limits: &SpanLimits) {
        if self.tape.made() < limit(limits.max_attributes_per_span) {
            self.tape.push(attribute);
        } else {
            self.added().dropped_attributes += 1;
        }
    }

    pub(super) fn event(
        &mut self,
        name: Cow<'static, str>,
        at: SystemTime,
        attributes: Vec<KeyValue>,
        limits: &SpanLimits,
    ) {
        let events = &mut self.added().events;
        if events.events.len() < limit(limits.max_events_per_span) {
            let (attributes, dropped) = limited(attributes, limits.max_attributes_per_event);
            events
                .events
                .push(Event::new(name, at, attributes, dropped));
        } else {
            events.dropped_count += 1;
        }
    }

    pub(super) fn link(&mut self, to: SpanContext, attributes: Vec<KeyValue>, limits: &SpanLimits) {
        let links = &mut self.added().links;
        if links.links.len() < limit(limits.max_links_per_span) {
            let (attributes, dropped) = limited(attributes, limits.max_attributes_per_link);
            links.links.push(Link::new(to, attributes, dropped));
        } else {
            links.dropped_count += 1;
        }
    }

    /// `Ok` is final, and an error is not taken back.
    pub(super) fn status(&mut self, status: Status) {
        let added = self.added();
        if status > added.status {
            added.status = status;
        }
    }

    fn name(&mut self) -> Cow<'static, str> {
        if let Some(called) = self.called.take() {
            return Cow::Owned(called.into());
        }
        let target = match self.kind {
            Kind::Server => attribute::HTTP_ROUTE,
            Kind::Client => attribute::URL_TEMPLATE,
        };
        let method = self.tape.find(attribute::HTTP_REQUEST_METHOD);
        Cow::Owned(span_name(method, self.tape.find(target)).into_owned())
    }

    /// The span, as exporters take it.
    pub(super) fn into_span(
        mut self,
        scope: &InstrumentationScope,
        limits: &SpanLimits,
    ) -> SpanData {
        let added = self
            .added
            .take()
            .map_or_else(Added::default, |added| *added);
        let name = added.name.unwrap_or_else(|| self.name());
        let mut attributes = self.tape.into_attributes();
        let status = self.status_code;
        let status = status.map(|code| KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, code));
        attributes.extend(status);
        let (attributes, dropped) = limited(attributes, limits.max_attributes_per_span);
        SpanData {
            span_context: self.context,
            parent_span_id: self.parent,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: match self.kind {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
            },
            name,
            start_time: self.started,
            end_time: self.ended,
            attributes,
            dropped_attributes_count: added.dropped_attributes.saturating_add(dropped),
            events: added.events,
            links: added.links,
            status: added.status,
            instrumentation_scope: scope.clone(),
        }
    }
}

fn limit(most: u32) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// As many attributes as are allowed, and how many were too many.
fn limited(mut attributes: Vec<KeyValue>, most: u32) -> (Vec<KeyValue>, u32) {
    let dropped = attributes.len().saturating_sub(limit(most));
    attributes.truncate(limit(most));
    (attributes, u32::try_from(dropped).unwrap_or(u32::MAX))
}
