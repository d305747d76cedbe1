//! A span in its compact form.

use std::{sync::Arc, time::Instant};

use opentelemetry::{
    KeyValue, SpanId,
    trace::{SpanContext, SpanKind},
};

use crate::{
    allowance::{Allowance, LendBytes},
    buffer::AttributeBuffer,
    changes::ContextChanges,
    clock::Timestamp,
    events::{CompactEvent, EventBuffer},
    extras::{Extras, trace_state_bytes},
    keep::KeepReason,
    limits::Limits,
    origin::Origin,
    sampling::SampledSpan,
    scope::RecordScope,
    template::{MIN_ATTRIBUTES, RecordTemplate},
    texts::TextRange,
};

/// The number of bytes of texts, events and links that an open span may use without an allowance.
const FREE_BYTES: usize = 1024;

/// The record of one span. It is reused after its export and keeps the capacity of its buffers.
#[derive(Debug)]
pub struct SpanRecord {
    pub(crate) context: SpanContext,
    pub(crate) parent: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) kind: SpanKind,
    pub(crate) scope: RecordScope,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) name: Name,
    /// The callsite of a `tracing` span.
    pub(crate) origin: Option<Origin>,
    pub(crate) template: RecordTemplate,
    pub(crate) attributes: AttributeBuffer,
    /// Allocated with the first event, so that a record without events uses fewer cache lines.
    pub(crate) events: Option<Box<EventBuffer>>,
    /// The number of attributes that were written at the start.
    pub(crate) start_attributes: usize,
    /// Set by the owner of the span.
    pub(crate) extras: Option<Box<Extras>>,
    /// Set through the OpenTelemetry context.
    pub(crate) context_extras: Option<Box<Extras>>,
    pub(crate) changes: Arc<ContextChanges>,
    /// The reason why an unsampled span is exported.
    pub(crate) kept: Option<KeepReason>,
}

/// The name of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Static(&'static str),
    Text(TextRange),
}

impl SpanRecord {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = Timestamp::Instant(Instant::now());
        Self {
            context: SpanContext::NONE,
            parent: SpanId::INVALID,
            parent_is_remote: false,
            kind: SpanKind::Internal,
            scope: RecordScope::new(),
            started: now,
            ended: now,
            name: Name::Static(""),
            origin: None,
            template: RecordTemplate::default(),
            attributes: AttributeBuffer::new(limits.text),
            events: None,
            start_attributes: 0,
            extras: None,
            context_extras: None,
            changes: Arc::new(ContextChanges::new(limits)),
            kept: None,
        }
    }

    /// Returns the attributes, so that the caller can add some.
    #[inline]
    pub fn attributes(&mut self) -> &mut AttributeBuffer {
        &mut self.attributes
    }

    /// Sets the name to a text that lives as long as the program.
    #[inline]
    pub fn set_static_name(&mut self, name: &'static str) {
        self.name = Name::Static(name);
    }

    /// Sets the name to a copied text. If there is a target, the name ends with a space and the target.
    #[inline]
    pub fn set_name(&mut self, name: &str, target: Option<&str>) {
        let texts = self.attributes.texts();
        let name = match target {
            Some(target) => texts.store_name_and_target(name, target),
            None => texts.store_name(name),
        };
        if let Some(name) = name {
            self.name = Name::Text(name);
        }
    }

    /// Sets the name and the first attributes. Returns `false` and sets nothing if they could exceed a limit.
    #[inline]
    pub fn set_template(&mut self, name: &'static str, template: &Arc<AttributeBuffer>) -> bool {
        let limits = self.changes.limits();
        let bytes = template.text_len();
        let fits = limits.span.max_attributes_per_span >= MIN_ATTRIBUTES
            && limits.text.length >= bytes
            && self.attributes.texts().take_room(bytes);
        if fits {
            self.name = Name::Static(name);
            self.template.set(template);
        }
        fits
    }

    /// Sets the callsite of a `tracing` span. The name of the callsite is the name of the span.
    pub(crate) fn set_origin(&mut self, origin: Origin) {
        self.origin = Some(origin);
        self.kind = SpanKind::Internal;
        self.name = Name::Static(origin.metadata.name());
    }

    /// Sets ids, parent and the attributes of the sampler.
    #[inline(always)]
    pub(crate) fn set_sampled(&mut self, sampled: SampledSpan) {
        self.context = sampled.context;
        self.parent = sampled.parent;
        self.parent_is_remote = sampled.parent_is_remote;
        if let Some(attributes) = sampled.attributes {
            self.add_all(attributes);
        }
    }

    #[cold]
    fn add_all(&mut self, attributes: Vec<KeyValue>) {
        for attribute in attributes {
            self.change(|extras, limits| extras.attribute(attribute, limits));
        }
    }

    /// Returns the number of attributes that may still be added to an open span.
    pub(crate) fn attribute_room(&self) -> usize {
        let limit = self.changes.limits().span.max_attributes_per_span;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        limit.saturating_sub(self.attributes.len())
    }

    /// Adds attributes to an open span, within the limits.
    pub(crate) fn append_attributes(&mut self, attributes: &AttributeBuffer) {
        let limit = self.changes.limits().span.max_attributes_per_span;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.attributes.append_up_to(limit, attributes);
    }

    /// Adds an event within the limits. The ranges of the event refer to `attributes`.
    pub(crate) fn add_event(&mut self, event: CompactEvent, attributes: &AttributeBuffer) {
        let limits = self.changes.limits();
        let limit = limits.span.max_events_per_span;
        let bytes = attributes.used() + size_of::<CompactEvent>();
        let new = || Box::new(EventBuffer::new(limits.text));
        let events = self.events.get_or_insert_with(new);
        if events.has_place(limit) && self.attributes.texts().take_room(bytes) {
            events.push(event, attributes);
        } else {
            events.drop_event();
        }
    }

    /// Applies a change of the owner, within the remaining bytes of the record.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Extras, &Limits)) {
        let extras = self.extras.get_or_insert_default();
        let before = extras.bytes();
        let texts = self.attributes.texts();
        let limits = self.changes.limits();
        let room = before.saturating_add(texts.room_in_all());
        // A record that is not restricted has the complete room.
        let mark = texts.is_restricted().then(|| extras.mark());
        change(extras, &limits.with_bytes(room));
        if !texts.take_room(extras.bytes().saturating_sub(before))
            && let Some(mark) = mark
        {
            extras.undo(mark);
        }
        texts.return_room(before.saturating_sub(extras.bytes()));
    }

    /// Ends the span, at the time that is already set. Later changes have no effect. A held span is still restricted.
    pub(crate) fn end(&mut self) {
        self.context_extras = match self.attributes.texts().is_restricted() {
            false => self.changes.end(),
            true => self.changes.end_held(),
        };
        if self.context_extras.is_some() {
            self.fit_context_extras();
        }
    }

    /// Removes changes of the context that exceed the remaining bytes of the record.
    #[cold]
    fn fit_context_extras(&mut self) {
        if let Some(extras) = &mut self.context_extras {
            let room = self.attributes.texts().room_in_all();
            if extras.bytes() > room {
                extras.fit(&self.changes.limits().with_bytes(room));
            }
        }
    }

    /// Restricts the bytes of an open span to those that a lender lends. Returns `false` if the lender does not lend the bytes
    /// that the record already uses.
    #[inline]
    pub(crate) fn restrict(&mut self, lender: &Arc<impl LendBytes + 'static>) -> bool {
        let allowance = Allowance::new(Arc::clone(lender) as _, FREE_BYTES);
        self.attributes.texts().restrict(allowance)
    }

    /// Lifts the restriction and returns the borrowed bytes.
    #[inline]
    pub(crate) fn lift_restriction(&mut self) {
        self.attributes.texts().lift_restriction();
    }

    /// Returns the number of bytes that the record has allocated.
    #[inline(always)]
    pub(crate) fn allocated(&self) -> usize {
        let extras = |extras: &Option<Box<Extras>>| match extras {
            Some(extras) => extras.allocated(),
            None => 0,
        };
        self.attributes.allocated()
            + self.template.allocated()
            + self.events.as_ref().map_or(0, |events| events.allocated())
            + trace_state_bytes(&self.context)
            + extras(&self.extras)
            + extras(&self.context_extras)
    }

    /// Prepares the record for the next span. Ids, kind, scope and times are set at its start.
    pub(crate) fn clear(&mut self) {
        self.clear_ended();
        ContextChanges::renew(&mut self.changes);
    }

    /// Clears the record of an ended span like [`clear`](Self::clear), except the state that it shares with the context.
    /// [`renew`](Self::renew) does the rest, when the context is probably dropped.
    pub(crate) fn clear_ended(&mut self) {
        self.context = SpanContext::NONE;
        self.name = Name::Static("");
        self.origin = None;
        self.template.clear();
        self.attributes.clear();
        if let Some(events) = &mut self.events {
            events.clear();
        }
        self.start_attributes = 0;
        self.extras = None;
        self.context_extras = None;
        self.kept = None;
    }

    /// Completes [`clear_ended`](Self::clear_ended).
    #[inline]
    pub(crate) fn renew(&mut self) {
        if self.changes.has_ended() {
            self.renew_changes();
        }
    }

    #[inline(never)]
    fn renew_changes(&mut self) {
        ContextChanges::renew(&mut self.changes);
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::trace::Status;

    use super::*;

    struct LendsNothing;

    impl LendBytes for LendsNothing {
        fn lend(&self, _: usize) -> bool {
            false
        }

        fn take_back(&self, _: usize) {}
    }

    #[test]
    fn a_change_that_is_not_allowed_replaces_nothing() {
        let mut record = SpanRecord::new(Limits::default());
        let lender = Arc::new(LendsNothing);
        assert!(record.restrict(&lender));
        let text = |length| KeyValue::new("text", "x".repeat(length));
        record.change(|extras, limits| {
            extras.event(
                "event".into(),
                SystemTime::UNIX_EPOCH,
                vec![text(700)],
                limits,
            );
        });
        let changes = Arc::clone(&record.changes);
        changes.change_held(&lender, |extras, limits| {
            extras.event(
                "event".into(),
                SystemTime::UNIX_EPOCH,
                vec![text(100)],
                limits,
            );
        });
        record.change(|extras, limits| extras.attribute(text(500), limits));
        record.change(|extras, limits| extras.name("x".repeat(500).into(), limits));
        record.change(|extras, limits| extras.status(Status::error("x".repeat(500)), limits));
        changes.change_held(&lender, |extras, limits| {
            extras.attribute(text(150), limits)
        });
        changes.change_held(&lender, |extras, limits| {
            extras.name("x".repeat(150).into(), limits)
        });
        changes.change_held(&lender, |extras, limits| {
            extras.status(Status::error("x".repeat(150)), limits)
        });
        record.lift_restriction();
        record.end();
        for extras in [&record.extras, &record.context_extras] {
            let Some(extras) = extras else {
                panic!("there are changes");
            };
            assert_eq!(extras.events.len(), 1);
            assert_eq!((extras.attributes.len(), extras.dropped_attributes), (0, 1));
            assert_eq!(extras.status, Status::error(""));
            assert_eq!(extras.name, None);
        }
    }
}
