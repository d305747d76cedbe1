//! Conversion of records to the spans of opentelemetry_sdk.

use std::{borrow::Cow, mem};

use opentelemetry::{InstrumentationScope, KeyValue, trace::SpanContext};
use opentelemetry_sdk::trace::SpanData;

use crate::{
    buffer::AttributeBuffer,
    clock::{Clocks, Timestamp},
    extras::{Extras, limited},
    keep::KeepReason,
    keys::KEEP_REASON,
    limits::Limits,
    origin::Origin,
    record::{Name, SpanRecord},
};

impl SpanRecord {
    /// Takes the span out of the record. The record must be cleared before it is reused.
    pub(crate) fn take_span_data(
        &mut self,
        clocks: Clocks,
        default_scope: &InstrumentationScope,
        limits: &Limits,
    ) -> SpanData {
        let mut extras = self.take_extras(limits);
        if let Some(events) = &self.events {
            events.append_to(&mut extras, clocks, limits);
        }
        let all = self.attributes.len();
        let template = self.template.get();
        let from_template = template.map_or(0, AttributeBuffer::len);
        let from_extras = extras.attributes.len();
        let mut attributes =
            Vec::with_capacity(from_template + all + from_extras + Origin::ATTRIBUTES);
        let kept = self.kept.map(KeepReason::as_str);
        attributes.extend(kept.map(|reason| KeyValue::new(KEEP_REASON, reason)));
        if let Some(origin) = &self.origin {
            origin.span_attributes(&mut attributes);
        }
        if let Some(template) = template {
            attributes.extend(template.key_values(0, from_template));
        }
        attributes.extend(self.attributes.key_values(0, self.start_attributes));
        attributes.extend(extras.attributes);
        attributes.extend(self.attributes.key_values(self.start_attributes, all));
        let (attributes, dropped) = limited(attributes, limits.span.max_attributes_per_span);
        let name = extras.name.unwrap_or_else(|| match self.name {
            Name::Static(name) => Cow::Borrowed(name),
            Name::Text(range) => Cow::Owned(self.attributes.stored(range).to_owned()),
        });
        let start_time = clocks.system_time(self.started);
        let ended = extras.ended.map_or(self.ended, Timestamp::System);
        SpanData {
            span_context: mem::replace(&mut self.context, SpanContext::NONE),
            parent_span_id: self.parent,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: self.kind.clone(),
            name,
            start_time,
            // The system clock may have been set back since the start.
            end_time: clocks.system_time(ended).max(start_time),
            attributes,
            dropped_attributes_count: extras
                .dropped_attributes
                .saturating_add(self.attributes.dropped())
                .saturating_add(dropped),
            events: extras.events,
            links: extras.links,
            status: extras.status,
            instrumentation_scope: self.scope.get(default_scope).clone(),
        }
    }

    pub(crate) fn take_extras(&mut self, limits: &Limits) -> Extras {
        match (self.extras.take(), self.context_extras.take()) {
            (None, None) => Extras::default(),
            (Some(extras), None) | (None, Some(extras)) => *extras,
            (Some(mut own), Some(context)) => {
                // Their bytes were limited together when the span ended.
                own.append(*context, &limits.with_bytes(usize::MAX));
                *own
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant, SystemTime},
    };

    use opentelemetry::{KeyValue, SpanId, trace::SpanKind};

    use super::*;

    fn record() -> SpanRecord {
        SpanRecord::new(Limits::default())
    }

    fn span(record: &mut SpanRecord) -> SpanData {
        let scope = InstrumentationScope::default();
        record.take_span_data(Clocks::read(), &scope, &Limits::default())
    }

    #[test]
    fn attributes_of_the_start_come_first_and_late_ones_last() {
        let mut record = record();
        record.attributes().int("start", 1);
        record.start_attributes = record.attributes.len();
        record.attributes().int("late", 3);
        let limits = Limits::default();
        record.change(|extras, limits| extras.attribute(KeyValue::new("extra", 2), limits));
        let mut handler = Extras::default();
        handler.attribute(KeyValue::new("handler", 2), &limits);
        record.context_extras = Some(Box::new(handler));
        let keys: Vec<_> = span(&mut record)
            .attributes
            .into_iter()
            .map(|attribute| attribute.key.to_string())
            .collect();
        assert_eq!(keys, ["start", "extra", "handler", "late"]);
    }

    #[test]
    fn attributes_over_the_limit_are_dropped_and_counted() {
        let mut record = record();
        for n in 0..130 {
            record.attributes().int("n", n);
        }
        record.start_attributes = record.attributes.len();
        let span = span(&mut record);
        assert_eq!(
            (span.attributes.len(), span.dropped_attributes_count),
            (128, 2)
        );
    }

    #[test]
    fn the_name_is_the_last_one_that_was_set() {
        let mut record = record();
        record.set_static_name("static");
        assert_eq!(span(&mut record).name, "static");
        record.set_name("copied", None);
        assert_eq!(span(&mut record).name, "copied");
        record.set_name("copied", None);
        record.change(|extras, limits| extras.name("changed".into(), limits));
        assert_eq!(span(&mut record).name, "changed");
    }

    #[test]
    fn a_cleared_record_has_nothing_of_the_last_span() {
        let mut record = record();
        record.attributes().text("secret", "secret");
        record.set_name("secret", None);
        record.start_attributes = 1;
        record.change(|extras, limits| extras.attribute(KeyValue::new("secret", true), limits));
        record.changes.end_early(SystemTime::UNIX_EPOCH);
        record.context_extras = record.changes.end();
        record.clear();
        assert!(!record.changes.has_ended());
        assert!(record.changes.end().is_none());
        record.attributes().text("path", "/");
        let now = Timestamp::Instant(Instant::now());
        (record.started, record.ended) = (now, now);
        let span = span(&mut record);
        assert_eq!(span.attributes, [KeyValue::new("path", "/")]);
        assert_eq!(
            (span.name.as_ref(), span.span_kind),
            ("", SpanKind::Internal)
        );
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        assert_eq!(span.start_time, span.end_time);
    }

    #[test]
    fn a_context_that_is_retained_does_not_reach_the_next_span() {
        let mut record = record();
        let retained = Arc::clone(&record.changes);
        record.context_extras = record.changes.end();
        record.clear();
        retained.change(|extras, limits| extras.attribute(KeyValue::new("late", true), limits));
        record.context_extras = record.changes.end();
        assert_eq!(span(&mut record).attributes, []);
    }

    #[test]
    fn a_span_does_not_end_before_its_start() {
        let mut record = record();
        record.started = Timestamp::System(SystemTime::UNIX_EPOCH + Duration::from_secs(2));
        record.ended = Timestamp::System(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        let span = span(&mut record);
        assert_eq!(span.start_time, span.end_time);
    }
}
